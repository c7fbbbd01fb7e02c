import { describe, expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { readMeshConfig } from "./mesh-config.ts";
import { complete } from "./testing/objects.ts";

const validator = new Validator();

function configMap(mesh: string): ResourceObject {
  return { ...complete({ kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" } }), data: { mesh } };
}

describe("Istio's MeshConfig from its ConfigMap", () => {
  test.each([
    ["nothing", "", {}],
    [
      "as Istio's chart writes it",
      "accessLogFile: /dev/stdout\nenablePrometheusMerge: true\n",
      { accessLogFile: "/dev/stdout" },
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
  ])("%s", (_name, text, config) => expect(readMeshConfig(configMap(text), validator)).toEqual({ config }));

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
