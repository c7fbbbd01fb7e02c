import { describe, expect, test } from "vitest";
import { kindOf } from "#api/kinds.ts";
import { Validator } from "#api/validation.ts";
import { readSettings } from "./read-settings.ts";
import { type AdmissionRequest, readPath, readReview, reviewInjection, reviewObject } from "./review.ts";
import { mutatingWebhooks, validatingWebhooks } from "./webhook-configuration.ts";

const validator = new Validator();

const context = {
  settings: readSettings({}),
  config: {},
  mesh: { trustDomain: "cluster.local", inboundToLoopback: false, prometheusMerge: true },
  revision: "default",
  native: true,
};

function asked(object: unknown, more: object = {}): AdmissionRequest {
  return { uid: "u1", namespace: "shop", operation: "CREATE", object, ...more };
}

describe("what is asked about Pods", () => {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "a-" },
    spec: { containers: [{ name: "app" }] },
  };

  test("is answered with what changes the Pod", () => {
    const { patch, ...answer } = reviewInjection(asked(pod), () => context);
    expect(answer).toEqual({ uid: "u1", allowed: true, patchType: "JSONPatch" });
    const operations = JSON.parse(Buffer.from(patch ?? "", "base64").toString()) as { op: string; path: string }[];
    expect(operations.map(({ op, path }) => `${op} ${path}`).toSorted()).toEqual([
      "add /metadata/annotations",
      "add /metadata/labels",
      "add /spec/initContainers",
      "add /spec/volumes",
    ]);
  });

  test("leaves Pods alone that get no proxy", () => {
    const system = asked(pod, { namespace: "kube-system" });
    expect(reviewInjection(system, () => context)).toEqual({ uid: "u1", allowed: true });
  });

  test("refuses what cannot be carried out, with the reason", () => {
    const wrong = { ...pod, metadata: { ...pod.metadata, annotations: { "sidecar.istio.io/proxyCPU": "x" } } };
    expect(reviewInjection(asked(wrong), () => context)).toMatchObject({
      allowed: false,
      status: { message: expect.stringContaining("sidecar.istio.io/proxyCPU") as string, code: 400 },
    });
  });

  test("tells the cluster and the network in the path", () => {
    expect(readPath("/inject")).toEqual({});
    expect(readPath("/inject/cluster/east/net/n%201")).toEqual({ cluster: "east", network: "n 1" });
  });

  test("is an AdmissionReview of the version that there is", () => {
    expect(() => readReview("{}")).toThrow(/no AdmissionReview/);
    expect(() => readReview('{"apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"1"}}')).toThrow(/v1beta1/);
  });
});

describe("what is asked about Istio's objects", () => {
  const service = (hosts: readonly string[]) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "a", namespace: "shop" },
    spec: { hosts, http: [{ route: [{ destination: { host: "a" } }] }] },
  });
  const review = (request: AdmissionRequest) => reviewObject(request, kindOf, validator);

  test("is refused with the fields that are wrong", () => {
    expect(review(asked(service(["a"])))).toEqual({ uid: "u1", allowed: true });
    const answer = review(asked(service(["a b"])));
    expect(answer.allowed).toBe(false);
    expect(answer.status?.message).toMatch(/^VirtualService shop\/a is not valid: spec\.hosts\[0\]: /);
  });

  test("is let be where it is deleted or of no kind that is known", () => {
    expect(review(asked(undefined, { operation: "DELETE", oldObject: service(["a b"]) })).allowed).toBe(true);
    expect(review(asked({ ...service([""]), kind: "Later" })).allowed).toBe(true);
  });
});

describe("webhooks of a cluster", () => {
  interface Webhook {
    readonly name: string;
    readonly clientConfig: object;
    readonly failurePolicy: string;
    readonly namespaceSelector: {
      readonly matchExpressions: readonly { readonly key: string; readonly operator: string }[];
    };
  }
  const webhooksOf = (object: object): readonly Webhook[] => (object as { webhooks: readonly Webhook[] }).webhooks;

  test("of the default revision follow istio-injection, istio.io/rev and the Pod's label", () => {
    const webhooks = webhooksOf(mutatingWebhooks({ revision: "default", namespace: "istio-system", cluster: "east" }));
    expect(webhooks.map(({ name }) => name)).toEqual([
      "rev.namespace.sidecar-injector.istio.io",
      "rev.object.sidecar-injector.istio.io",
      "namespace.sidecar-injector.istio.io",
      "object.sidecar-injector.istio.io",
    ]);
    for (const { clientConfig, failurePolicy } of webhooks) {
      const service = { name: "istiod", namespace: "istio-system", path: "/inject/cluster/east", port: 443 };
      expect(clientConfig).toEqual({ service });
      expect(failurePolicy).toBe("Fail");
    }
  });

  test("of another revision, and of its tags, follow istio.io/rev alone", () => {
    const tagged = mutatingWebhooks({ revision: "canary", tag: "prod", namespace: "istio-system" });
    expect(tagged).toMatchObject({
      metadata: { name: "istio-revision-tag-prod", labels: { "istio.io/rev": "canary", "istio.io/tag": "prod" } },
    });
    const [first, ...others] = webhooksOf(tagged);
    expect(others).toHaveLength(1);
    expect(first?.namespaceSelector.matchExpressions[0]).toEqual({
      key: "istio.io/rev",
      operator: "In",
      values: ["prod"],
    });
    expect(first?.clientConfig).toMatchObject({ service: { name: "istiod-canary" } });
  });

  test("that check objects let all pass until they have been seen to answer", () => {
    const options = { revision: "default", namespace: "istio-system", url: "https://istiod.example:15017" };
    expect(validatingWebhooks(options)).toMatchObject({
      metadata: { name: "istio-validator-istio-system" },
      webhooks: [{ clientConfig: { url: "https://istiod.example:15017/validate" }, failurePolicy: "Ignore" }],
    });
  });
});
