import { expect, test } from "vitest";
import { proxyCounts, quantile, since, timed, total } from "./requests.ts";

const line = (listener: string, code: string, count: number): string =>
  `envoy_http_${listener}__downstream_rq{response_code_class="${code}"} ${count}`;
const labelled = (listener: string, code: string, count: number): string =>
  `envoy_http_downstream_rq{response_code_class="${code}",http_conn_manager_prefix="${listener}"} ${count}`;
const bucket = (listener: string, most: string, count: number): string =>
  `envoy_http_${listener}__downstream_rq_time_bucket{le="${most}"} ${count}`;
const [inbound, outbound] = ["inbound_0_0_0_0_8080", "outbound_0_0_0_0_80"];

test("requests are counted by what inbound listeners answered", () => {
  const metrics = ["# TYPE x counter", line(inbound, "2xx", 90), line(inbound, "5xx", 10), line(outbound, "5xx", 7)];
  const counts = proxyCounts(metrics.join("\n"));
  expect(counts).toEqual({ by: "proxy", all: 100, failed: 10, refused: 0, within: new Map() });
  const labels = [labelled("inbound_0.0.0.0_8080;", "5xx", 3), labelled("outbound_0.0.0.0_80;", "5xx", 7)];
  expect(proxyCounts(labels.join("\n"))).toMatchObject({ all: 3, failed: 3 });
  const resets = [
    [inbound, 5],
    [outbound, 9],
  ].map(([name, count]) => `envoy_http_${name}__downstream_rq_rx_reset{} ${count}`);
  expect(proxyCounts([...metrics, ...resets].join("\n"))).toMatchObject({ all: 105, failed: 15 });
  const before = { ...counts, all: 40, failed: 4 };
  expect(since(before, counts)).toMatchObject({ all: 60, failed: 6 });
  expect(since({ ...counts, all: 400 }, counts)).toEqual(counts);
});

test("refused configuration is counted of every type", () => {
  const metrics = [
    "envoy_listener_manager_lds_update_rejected{} 2",
    "envoy_cluster_manager_cds_update_rejected{} 1",
    "envoy_http_outbound_0_0_0_0_80__rds_80_update_rejected{} 4",
    "envoy_listener_manager_lds_update_success{} 9",
  ];
  expect(proxyCounts(metrics.join("\n"))).toMatchObject({ all: 0, refused: 7 });
});

test("a quantile is between the bounds in which it is, of several proxies together and since a time", () => {
  const histogram = (...counts: readonly number[]): string =>
    ["1", "5", "10", "+Inf"].map((most, index) => bucket(inbound, most, counts[index] ?? 0)).join("\n");
  const one = proxyCounts(`${histogram(50, 100, 100, 100)}\n${bucket(outbound, "+Inf", 900)}`);
  expect(timed(one)).toBe(100);
  expect(quantile(one, 0.5)).toBe(1);
  expect(quantile(one, 0.75)).toBe(3);
  expect(quantile(total([one, proxyCounts(histogram(0, 0, 100, 100))]), 0.75)).toBe(7.5);
  expect(quantile(since(one, proxyCounts(histogram(50, 100, 200, 200))), 0.5)).toBe(7.5);
  expect(quantile(proxyCounts(histogram(0, 0, 0, 10)), 0.99)).toBe(10);
  expect(quantile(proxyCounts(""), 0.99)).toBe(0);
});
