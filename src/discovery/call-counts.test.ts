import { expect, test } from "vitest";
import { callCounts } from "./call-counts.ts";

test("requests to all endpoints of a cluster are counted", () => {
  const stats = (total: string, active?: string) => [
    { name: "cx_active", type: "GAUGE", value: "7" },
    { name: "rq_total", value: total },
    // Envoy leaves out what is zero.
    { name: "rq_active", type: "GAUGE", ...(active !== undefined && { value: active }) },
  ];
  const page = {
    cluster_statuses: [
      { name: "outbound|80||a.shop", host_statuses: [{ stats: stats("30", "2") }, { stats: stats("1") }] },
      { name: "outbound|80||b.shop" },
    ],
  };
  expect([...callCounts(Buffer.from(JSON.stringify(page)))]).toEqual([
    ["outbound|80||a.shop", { begun: 31, open: 2 }],
    ["outbound|80||b.shop", { begun: 0, open: 0 }],
  ]);
  expect(callCounts(Buffer.from("{}")).size).toBe(0);
});
