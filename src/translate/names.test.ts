import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clusterName, listenerName, parseClusterName, parseRouteName, routeName } from "./names.ts";

const hosts = fc.domain();
const ports = fc.integer({ min: 1, max: 65_535 });

describe("names", () => {
  it("are Istio's", () => {
    expect(clusterName("outbound", 9080, "v1", "reviews.shop.svc.cluster.local")).toBe(
      "outbound|9080|v1|reviews.shop.svc.cluster.local",
    );
    expect(clusterName("inbound", 9080)).toBe("inbound|9080||");
    expect(listenerName("0.0.0.0", 9080)).toBe("0.0.0.0_9080");
  });

  it("of clusters are read back", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("inbound" as const, "outbound" as const),
        ports,
        fc.constantFrom("", "v1"),
        hosts,
        (direction, port, subset, host) => {
          expect(parseClusterName(clusterName(direction, port, subset, host))).toEqual({
            direction,
            port,
            subset,
            host,
          });
        },
      ),
    );
    expect(parseClusterName("PassthroughCluster")).toBeUndefined();
  });

  it("of routes are read back", () => {
    fc.assert(
      fc.property(ports, hosts, (port, host) => {
        const socket = { kind: "socket", bind: `unix:///run/${host}:${port}` } as const;
        const all = [{ kind: "port", port }, { kind: "service", host, port }, socket, { kind: "proxy", port }] as const;
        for (const name of all) {
          expect(parseRouteName(routeName(name))).toEqual(name);
        }
      }),
    );
    expect(parseRouteName("virtualInbound")).toBeUndefined();
  });
});
