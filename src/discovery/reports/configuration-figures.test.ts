import { expect, test } from "vitest";
import { typeUrls } from "#proto/encoded.ts";
import type { ProxyStatus } from "#xds/port.ts";
import { configurationFigures } from "./configuration-figures.ts";

function proxy(cluster: string, bytes: number | undefined): ProxyStatus {
  const size = bytes === undefined ? {} : { size: { resources: 1, bytes } };
  const locality = { region: "", zone: "", subzone: "" };
  return {
    node: { id: "sidecar~1~a.b~c", cluster: "", metadata: { CLUSTER_ID: cluster }, version: "", locality },
    connectedAt: 0,
    virtualHosts: "inside",
    types: { [typeUrls.cluster]: { state: "SYNCED", version: "1", since: 0, ...size } },
  };
}

test("bytes of configuration are summed by cluster and type, up to a number of clusters", () => {
  expect(
    configurationFigures([proxy("east", 7), proxy("east", 5), proxy("west", 3), proxy("west", undefined)]),
  ).toEqual({
    'proxy_configuration_bytes{cluster="east",type="CDS"}': 12,
    'proxy_configuration_bytes{cluster="west",type="CDS"}': 3,
  });
  const many = Array.from({ length: 200 }, (_, at) => proxy(`c-${at}`, 1));
  const figures = configurationFigures(many);
  expect(Object.keys(figures)).toHaveLength(129);
  expect(figures['proxy_configuration_bytes{cluster="",type="CDS"}']).toBe(72);
});
