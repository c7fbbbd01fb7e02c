import { describe, expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { readMeshConfig } from "./mesh-config.ts";
import { complete } from "./testing/objects.ts";

const validator = new Validator();

function configMap(mesh: string, meshNetworks = ""): ResourceObject {
  const metadata = { name: "istio", namespace: "istio-system" };
  return { ...complete({ kind: "ConfigMap", metadata }), data: { mesh, meshNetworks } };
}

describe("Istio's MeshConfig from its ConfigMap", () => {
  test.each([
    ["nothing", "", {}],
    [
      "as Istio's chart writes it",
      "accessLogFile: /dev/stdout\nenablePrometheusMerge: true\n",
      { accessLogFile: "/dev/stdout", enablePrometheusMerge: true },
    ],
    [
      "names as protobuf has them",
      "connect_timeout: 3s\ntcp_keepalive: { probes: 3 }",
      { connectTimeout: "3s", tcpKeepalive: { probes: 3 } },
    ],
    [
      "policies",
      "outboundTrafficPolicy: { mode: REGISTRY_ONLY }\ndefaultVirtualServiceExportTo: ['.']",
      { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" }, defaultVirtualServiceExportTo: ["."] },
    ],
    [
      "retries of all routes",
      "defaultHttpRetryPolicy: { attempts: 5, retryOn: 5xx }",
      { defaultHttpRetryPolicy: { attempts: 5, retryOn: "5xx" } },
    ],
    [
      "labels and variables keep their names",
      "discovery_selectors: [{ matchLabels: { my_team: a } }]\ndefaultConfig: { proxy_metadata: { ISTIO_META_A: b } }",
      {
        discoverySelectors: [{ matchLabels: { my_team: "a" } }],
        defaultConfig: { proxyMetadata: { ISTIO_META_A: "b" } },
      },
    ],
    [
      "what an installation of Istio says by itself",
      "trustDomain: a.example\nenablePrometheusMerge: true\ndefaultProviders: { metrics: [prometheus] }\nmesh_mTLS: null",
      { trustDomain: "a.example", enablePrometheusMerge: true },
    ],
  ])("%s", (_name, text, config) =>
    expect(readMeshConfig(configMap(text), validator)).toEqual({ config, missing: [] }),
  );

  test("members that have no effect are told of", () => {
    const text = "ca: { address: ca:1 }\ndefaultConfig: { tracing: { sampling: 5 } }";
    expect(readMeshConfig(configMap(text), validator)).toEqual({
      config: { defaultConfig: {} },
      missing: [
        "ca has no effect: the mesh's own authority signs; plug it in by the Secret cacerts",
        "defaultConfig.tracing comes with telemetry",
      ],
    });
  });

  test("gateways of networks that have only a name are told of", () => {
    const text = "networks: { far: { gateways: [{ address: 2001:db8::1, port: 1 }, { address: a.test, port: 1 }] } }";
    expect(readMeshConfig(configMap("", text), validator)).toMatchObject({
      missing: ["meshNetworks.far.gateways[1].address has no effect: names are not looked up yet"],
    });
  });

  test("networks, from a part of their own, whose names are kept", () => {
    const text =
      "networks: { net_a: { endpoints: [{ from_registry: east }], gateways: [{ address: 192.0.2.1, port: 443 }] } }";
    const network = { endpoints: [{ fromRegistry: "east" }], gateways: [{ address: "192.0.2.1", port: 443 }] };
    expect(readMeshConfig(configMap("", text), validator)).toEqual({
      config: { meshNetworks: { net_a: network } },
      missing: [],
    });
    const broken = configMap("", "networks: { a: { endpoints: [{ fromCidr: 10.0.0.1 }] } }");
    const problem = expect.stringMatching(/fromCidr: .*must be a range of addresses/) as string;
    expect(readMeshConfig(broken, validator)).toEqual({ problem });
  });

  test.each([
    ["{", /flow/i],
    ["[a]", /not an object/],
    ["connectTimeout: never", /^connectTimeout: /],
    ["outboundTrafficPolicy: { mode: SOMETIMES }", /^outboundTrafficPolicy\.mode: /],
    ["defaultHttpRetryPolicy: { attempts: -1 }", /^defaultHttpRetryPolicy\.attempts: /],
  ])("%s is not valid, and it is said why", (text, problem) => {
    expect(readMeshConfig(configMap(text), validator)).toEqual({ problem: expect.stringMatching(problem) as string });
  });
});
