import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { bootstrapOf, clustersOf, listenersOf, routesOf } from "./dump.ts";
import { findingText, type ProxyFindingObject } from "./findings.ts";
import { type ProxyObject, proxyNamed } from "./proxies.ts";
import { secretsOf, secretTable } from "./secrets.ts";
import { statusData, statusTable } from "./status.ts";
import { clusterTable, endpointTable, listenerTable, routeTable } from "./tables.ts";

function proxy(pod: string, namespace: string, types: ProxyObject["status"]["types"] = {}): ProxyObject {
  return {
    metadata: { name: `${pod}.east`, namespace },
    spec: {
      pod,
      cluster: "east",
      type: "sidecar",
      envoyVersion: "1.40.0",
      node: {
        id: `sidecar~10.10.0.1~${pod}.${namespace}~${namespace}.svc.cluster.local`,
        metadata: {},
        locality: { region: "", zone: "", subzone: "" },
      },
    },
    status: { revision: "default", connectedAt: "2026-01-01T00:00:00Z", types, discovery: { mode: "All" } },
  };
}

const since = "2026-01-01T00:00:00.000Z";
const now = Date.parse(since) + 90_000;

describe("proxy-status", () => {
  const synced = { state: "SYNCED", version: "7", since } as const;
  const page = proxy("page-1", "shop", {
    CDS: synced,
    NDS: synced,
    LDS: { state: "NACKED", version: "6", since, message: "no such filter", refused: ["0.0.0.0_80"] },
  });

  test("a table of states with their ages, and below it what is refused and why", () => {
    expect(statusTable([page], now)).toBe(
      [
        "PROXY         CLUSTER   CDS            EDS   LDS            RDS   NDS            REVISION   ENVOY",
        "page-1.shop   east      SYNCED (90s)   -     NACKED (90s)   -     SYNCED (90s)   default    1.40.0",
        "",
        "page-1.shop refuses LDS: no such filter",
        "",
      ].join("\n"),
    );
  });

  test("what proxies did that they should not, with how often and when last", () => {
    const spec = { pod: "page-1", cluster: "east", node: "x", code: "ProxyFloods", message: "Proxy page-1 floods." };
    const metadata = { name: "page-1.east.proxy-floods", namespace: "shop" } as ProxyFindingObject["metadata"];
    const of = (count: number): ProxyFindingObject => ({
      apiVersion: "status.mesh.weft.dev/v1alpha1",
      kind: "ProxyFinding",
      metadata,
      spec,
      status: { since, last: since, count },
    });
    expect(findingText([of(1), of(7)], now)).toBe(
      "ProxyFloods: Proxy page-1 floods. (once, last 90s ago)\nProxyFloods: Proxy page-1 floods. (7 times, last 90s ago)\n",
    );
  });

  test("certificates where proxies have some, and why one is not renewed", () => {
    const holding = (pod: string, certificate: ProxyObject["status"]["certificate"]): ProxyObject => {
      const one = proxy(pod, "shop");
      return { ...one, status: { ...one.status, ...(certificate && { certificate }) } };
    };
    const late = { state: "Expiring", message: "serial number 0a; the last request failed: it is away" };
    const all = [
      holding("page-1", { state: "Valid", message: "serial number 0b" }),
      holding("late-1", late),
      holding("old-1", undefined),
    ];
    expect(statusTable(all, now)).toBe(
      [
        "PROXY         CLUSTER   CDS   EDS   LDS   RDS   CERTIFICATE   REVISION   ENVOY",
        "page-1.shop   east      -     -     -     -     Valid         default    1.40.0",
        "late-1.shop   east      -     -     -     -     Expiring      default    1.40.0",
        "old-1.shop    east      -     -     -     -     -             default    1.40.0",
        "",
        "late-1.shop has a certificate that is Expiring: serial number 0a; the last request failed: it is away",
        "",
      ].join("\n"),
    );
    expect(statusData(all)).toMatchObject([{ certificate: { state: "Valid" } }, { certificate: late }, {}]);
  });

  test("which connections go past a proxy that came after them", () => {
    const outside = "1 connections are older than the sidecar and go on without it: 10.0.0.1:40000 with 10.0.0.2:8080";
    const late: ProxyObject = { ...page, status: { ...page.status, outside } };
    expect(statusTable([late, proxy("other-1", "shop")], now)).toContain(`\npage-1.shop: ${outside}\n`);
    expect(statusData([late])).toMatchObject([{ outside }]);
  });

  test("by what connections are led, where that is not iptables, and why it is not as was wanted", () => {
    const led = (pod: string, state: string, message = ""): ProxyObject => {
      const one = proxy(pod, "shop");
      return { ...one, status: { ...one.status, hijack: { state, message } } };
    };
    const refused = "eBPF is wanted, and refused: the kernel has no sk_lookup";
    const all = [led("page-1", "EBPF"), led("late-1", "IPTables", refused)];
    expect(statusTable(all, now)).toBe(
      [
        "PROXY         CLUSTER   CDS   EDS   LDS   RDS   HIJACK     REVISION   ENVOY",
        "page-1.shop   east      -     -     -     -     EBPF       default    1.40.0",
        "late-1.shop   east      -     -     -     -     IPTables   default    1.40.0",
        "",
        `late-1.shop is led by IPTables: ${refused}`,
        "",
      ].join("\n"),
    );
    expect(statusTable([led("page-1", "IPTables")], now)).not.toContain("HIJACK");
    expect(statusData(all)).toMatchObject([{ hijack: { state: "EBPF" } }, { hijack: { message: refused } }]);
  });

  test("data of each proxy by type", () => {
    expect(statusData([page])).toEqual([
      {
        proxy: "page-1.shop",
        cluster: "east",
        revision: "default",
        types: page.status.types,
        discovery: { mode: "All" },
      },
    ]);
  });

  test("what proxies hold where it is not all, and why where it should not be", () => {
    const holding = (pod: string, discovery: ProxyObject["status"]["discovery"]): ProxyObject => {
      const one = proxy(pod, "shop");
      return { ...one, status: { ...one.status, discovery } };
    };
    const some = holding("page-1", { mode: "OnDemand" });
    const all = holding("page-2", { mode: "All", reason: "its Sidecar has egress listeners of its own" });
    expect(statusTable([some, all], now)).toBe(
      [
        "PROXY         CLUSTER   CDS   EDS   LDS   RDS   DISCOVERY   REVISION   ENVOY",
        "page-1.shop   east      -     -     -     -     OnDemand    default    1.40.0",
        "page-2.shop   east      -     -     -     -     All         default    1.40.0",
        "",
        "page-2.shop holds everything: its Sidecar has egress listeners of its own",
        "",
      ].join("\n"),
    );
  });
});

describe("naming a proxy", () => {
  const known = [proxy("page-v1-a-1", "shop"), proxy("page-v1-a-2", "shop"), proxy("page-v1-b", "other")];

  test.each([
    ["page-v1-a-2.shop", "page-v1-a-2"],
    ["page-v1-a-2", "page-v1-a-2"],
    ["page-v1-b.east", "page-v1-b"],
    ["page-v1-a", "page-v1-a-1"],
  ])("%s is %s", (word, pod) => expect(proxyNamed(known, word).spec.pod).toBe(pod));

  test("what fits in several namespaces is refused with the choices", () => {
    expect(() => proxyNamed(known, "page")).toThrow("write one of them");
  });

  test("what is not connected is refused with what is", () => {
    expect(() => proxyNamed(known, "cart")).toThrow("connected are: page-v1-a-1.shop");
    expect(() => proxyNamed([], "cart")).toThrow("connected are: none");
  });
});

/** Shaped as Envoy's `/config_dump` answers. */
const dump = {
  configs: [
    { "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", bootstrap: { admin: {} } },
    {
      "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
      static_clusters: [{ cluster: { name: "xds-grpc", type: "STATIC" } }],
      dynamic_active_clusters: [
        {
          cluster: {
            name: "outbound|9080|v1|reviews.shop.svc.cluster.local",
            type: "EDS",
            metadata: {
              filter_metadata: {
                istio: { config: "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/reviews" },
              },
            },
          },
        },
      ],
    },
    {
      "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
      dynamic_listeners: [
        {
          name: "0.0.0.0_80",
          active_state: {
            listener: {
              name: "0.0.0.0_80",
              address: { socket_address: { address: "0.0.0.0", port_value: 80 } },
              filter_chains: [
                {
                  filter_chain_match: { transport_protocol: "raw_buffer", application_protocols: ["http/1.1"] },
                  filters: [{ name: "hcm", typed_config: { "@type": "x", rds: { route_config_name: "80" } } }],
                },
              ],
              default_filter_chain: {
                filters: [{ name: "tcp", typed_config: { "@type": "x", cluster: "PassthroughCluster" } }],
              },
            },
          },
        },
        { name: "warming" },
      ],
    },
    {
      "@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
      dynamic_route_configs: [
        {
          route_config: {
            name: "80",
            virtual_hosts: [
              {
                name: "80/reviews",
                domains: ["reviews", "reviews.shop"],
                routes: [
                  {
                    match: { prefix: "/" },
                    route: { weighted_clusters: { clusters: [{ name: "a", weight: 90 }, { name: "b" }] } },
                  },
                  { match: { path: "/a", headers: [] }, route: { cluster: "c" } },
                  { match: { path: "/b" }, redirect: {} },
                  { match: { path: "/c" }, direct_response: { status: 404 } },
                ],
              },
            ],
          },
        },
      ],
    },
  ],
};

describe("proxy-config", () => {
  test("clusters by what they stand for", () => {
    const [, first, second] = clusterTable(clustersOf(dump)).trimEnd().split("\n");
    expect(first).toMatch(/^reviews\.shop\.svc\.cluster\.local +9080 +v1 +outbound +EDS +reviews\.shop$/);
    expect(second).toMatch(/^xds-grpc +- +- +- +STATIC$/);
  });

  test("listeners: a row a filter chain, those that still warm left out", () => {
    const [, first, second, ...rest] = listenerTable(listenersOf(dump)).trimEnd().split("\n");
    expect(first).toMatch(/^0\.0\.0\.0_80 +0\.0\.0\.0 +80 +Trans: raw_buffer; App: http\/1\.1 +Route: 80$/);
    expect(second).toMatch(/ALL +Cluster: PassthroughCluster$/);
    expect(rest).toEqual([]);
  });

  test("routes in the order in which they are tried", () => {
    const [, first, second, ...others] = routeTable(routesOf(dump)).trimEnd().split("\n");
    expect(first).toMatch(/^80 +reviews +reviews \+ 1 more +\/\* +- +90 a, 0 b$/);
    expect(second).toMatch(/\/a \+ headers +- +c$/);
    expect(others.map((line) => line.replace(/.* - +/, ""))).toEqual(["redirect", "status 404"]);
  });

  test("the bootstrap", () => expect(bootstrapOf(dump)).toEqual({ admin: {} }));

  test("endpoints with their health, by cluster", () => {
    const host = (address: string, ejected: boolean): object => ({
      address: { socket_address: { address, port_value: 9080 } },
      health_status: { eds_health_status: "HEALTHY", failed_outlier_check: ejected },
      locality: { region: "east", zone: "east-1" },
    });
    const text = endpointTable({
      cluster_statuses: [
        { name: "b", host_statuses: [host("10.0.0.2", true), host("10.0.0.1", false)] as never },
        { name: "a" },
      ],
    });
    const [, first, second] = text.trimEnd().split("\n");
    expect(first).toMatch(/^10\.0\.0\.1:9080 +HEALTHY +OK +east-1 +b$/);
    expect(second).toMatch(/EJECTED/);
  });
});

describe("proxy-config secrets", () => {
  const from = new Date("2026-01-01T00:00:00Z");
  const until = new Date("2026-01-02T00:00:00Z");
  const authority = createAuthority("authority");
  const { certificate, key } = authority.issueFor({ names: ["a"], from, until });
  const serial = new X509Certificate(certificate).serialNumber.toLowerCase();
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const chain = {
    certificate_chain: { inline_bytes: base64(certificate + authority.certificate) },
    // Envoy leaves keys out itself; one that came all the same must not be shown either.
    private_key: { inline_bytes: base64(key) },
  };
  const dump = {
    configs: [
      {
        "@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump",
        dynamic_active_secrets: [
          { name: "kubernetes://a", secret: { name: "kubernetes://a", tls_certificate: chain } },
        ],
        dynamic_warming_secrets: [{ name: "kubernetes://b", secret: { name: "kubernetes://b" } }],
      },
    ],
  };

  test("a table of certificates, their times, and what is waited for", () => {
    const heading = "SERIAL NUMBER".padEnd(serial.length);
    expect(secretTable(secretsOf(dump, from.getTime()))).toBe(
      [
        `RESOURCE NAME    TYPE         STATUS    VALID CERT   ${heading}   NOT AFTER              NOT BEFORE`,
        `kubernetes://a   Cert Chain   ACTIVE    true         ${serial}   2026-01-02T00:00:00Z   2026-01-01T00:00:00Z`,
        `kubernetes://b                WARMING   false`,
        "",
      ].join("\n"),
    );
    expect(secretsOf(dump, until.getTime())[0]).toMatchObject({ valid: false });
  });

  test("authorities are a row each", () => {
    const trusted = { trusted_ca: { inline_string: authority.certificate + createAuthority("other").certificate } };
    const states = [{ name: "a", secret: { validation_context: trusted } }];
    const items = secretsOf({ configs: [{ "@type": "", static_secrets: states }] }, Date.now());
    expect(items.map(({ type, valid }) => [type, valid])).toEqual([
      ["CA", true],
      ["CA", true],
    ]);
  });

  test("keys are in no output", () => {
    const shown = JSON.stringify(secretsOf(dump, from.getTime()));
    expect(shown).not.toContain(base64(key).slice(40, 80));
    expect(shown).not.toContain("private");
  });
});
