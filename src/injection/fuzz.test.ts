import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kindOf } from "#api/kinds.ts";
import { Validator } from "#api/validation.ts";
import { WeftError } from "#base/errors.ts";
import { runs } from "#base/testing/runs.ts";
import { readSettings } from "./read-settings.ts";
import {
  type AdmissionRequest,
  type AdmissionResponse,
  readPath,
  readReview,
  reviewInjection,
  reviewObject,
} from "./review.ts";

const validator = new Validator();
const context = {
  settings: readSettings({}),
  config: {},
  mesh: { trustDomain: "cluster.local", inboundToLoopback: false, prometheusMerge: true },
  revision: "default",
  native: true,
};

/** Any JSON, and often what looks like part of a Pod or of an object of Istio's. */
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom("a", "", "true", "$(X)", "80,x", "__proto__", "1.5Gi"),
    fc.integer({ min: -2, max: 70_000 }),
    fc.constantFrom(null, true, false),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        "name",
        "image",
        "ports",
        "containerPort",
        "httpGet",
        "port",
        "env",
        "value",
        "hosts",
        "http",
        "route",
      ),
      tie("value"),
      { maxKeys: 4 },
    ),
  ),
}));
const annotations = fc.dictionary(
  fc.constantFrom(
    "sidecar.istio.io/proxyCPU",
    "proxy.istio.io/config",
    "inject.istio.io/templates",
    "sidecar.istio.io/userVolume",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "prometheus.io/port",
  ),
  fc.oneof(fc.string(), fc.json()),
);
const pod = fc.record(
  {
    apiVersion: fc.constant("v1"),
    kind: fc.constant("Pod"),
    metadata: fc.oneof(fc.record({ annotations, labels: annotations }, { requiredKeys: [] }), anything),
    spec: fc.oneof(
      fc.record(
        {
          containers: fc.oneof(
            fc.array(fc.record({ name: fc.string(), readinessProbe: anything, ports: anything, lifecycle: anything })),
            anything,
          ),
          initContainers: anything,
          volumes: anything,
          securityContext: anything,
        },
        { requiredKeys: [] },
      ),
      anything,
    ),
  },
  { requiredKeys: [] },
);
const istio = fc.record(
  {
    apiVersion: fc.oneof(fc.constantFrom("networking.istio.io/v1", "security.istio.io/v1"), anything),
    kind: fc.oneof(
      fc.constantFrom("VirtualService", "Gateway", "AuthorizationPolicy", "Sidecar", "EnvoyFilter"),
      anything,
    ),
    metadata: fc.oneof(fc.record({ name: fc.string(), namespace: fc.string() }, { requiredKeys: [] }), anything),
    spec: anything,
  },
  { requiredKeys: [] },
);

/** Asks as the webhooks do, in the form of text; undefined where the question is refused in words. */
function answered(question: object, path: string, review: (request: AdmissionRequest) => AdmissionResponse) {
  try {
    readPath(path);
    const text = JSON.stringify({ apiVersion: "admission.k8s.io/v1", request: { uid: "u1", ...question } });
    return review(readReview(text));
  } catch (error) {
    expect(error).toBeInstanceOf(WeftError);
    expect((error as WeftError).code).toBe("InvalidArgument");
    return undefined;
  }
}

function isAnswer(answer: AdmissionResponse | undefined): boolean {
  return answer === undefined || (answer.uid === "u1" && (answer.allowed || answer.status?.code === 400));
}

describe("whatever webhooks are asked", () => {
  const parts = fc.record({ namespace: fc.string(), operation: fc.constantFrom("CREATE", "UPDATE", "DELETE") });
  const path = fc.oneof(
    fc.constant("/inject/cluster/east"),
    fc.string().map((text) => `/inject/${text}`),
  );

  test("about Pods is answered, or refused with the reason", () => {
    const property = fc.property(fc.oneof(pod, anything), parts, path, (object, more, at) =>
      isAnswer(answered({ ...more, object }, at, (request) => reviewInjection(request, () => context))),
    );
    fc.assert(property, { numRuns: runs(500) });
  });

  test("about Istio's objects is answered, or refused with the reason", () => {
    const property = fc.property(fc.oneof(istio, anything), fc.option(istio), parts, (object, oldObject, more) =>
      isAnswer(
        answered({ ...more, object, oldObject }, "/validate", (request) => reviewObject(request, kindOf, validator)),
      ),
    );
    fc.assert(property, { numRuns: runs(500) });
  });

  test("is refused where it is no question", () => {
    const property = fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(() => readReview(text)).toThrow(WeftError);
    });
    fc.assert(property, { numRuns: runs(500) });
  });
});
