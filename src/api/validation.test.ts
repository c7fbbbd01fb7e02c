import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FieldError, Kind } from "./kind.ts";
import { kindOf, kinds } from "./kinds.ts";
import { objectsOf } from "./testing/arbitrary.ts";
import { Validator } from "./validation.ts";
import { runs } from "#base/testing/runs.ts";

const validator = new Validator();

function kind(group: string, name: string): Kind {
  const found = kindOf(group, name);
  if (found === undefined) throw new Error(`no kind ${name}`);
  return found;
}

const virtualService = kind("networking.istio.io", "VirtualService");
const deployment = kind("apps", "Deployment");
const configMap = kind("", "ConfigMap");

function routed(spec: object, metadata: object = {}): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "reviews", namespace: "shop", ...metadata },
    spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }], ...spec },
  };
}

function texts(errors: readonly FieldError[]): readonly string[] {
  return errors.map(({ field, message }) => `${field}: ${message}`);
}

describe("shaping", () => {
  test("unknown fields go, and their paths are told", () => {
    const { object, unknown, errors } = validator.admit(
      virtualService,
      routed({ hots: [], http: [{ route: [{ destination: { host: "a", sub: 1 } }], "odd.name": {} }] }, { nme: "x" }),
    );
    expect(errors).toEqual([]);
    expect(unknown.toSorted()).toEqual([
      "metadata.nme",
      "spec.hots",
      "spec.http[0].odd.name",
      "spec.http[0].route[0].destination.sub",
    ]);
    expect(object["spec"]).toEqual({ hosts: ["reviews"], http: [{ route: [{ destination: { host: "a" } }] }] });
  });

  test("what Weft only carries is kept as it is", () => {
    const volumes = [{ name: "disk", nfs: { server: "s", path: "/", extra: { deep: [null, 1] } } }];
    const spec = { selector: { matchLabels: { app: "a" } }, template: template({ volumes }) };
    const { object, unknown } = validator.admit(deployment, deployed(spec));
    expect(unknown).toEqual([]);
    expect(object).toMatchObject({ spec: { template: { spec: { volumes } } } });
  });

  test("null members are as good as absent", () => {
    const { object, errors, unknown } = validator.admit(
      virtualService,
      routed({ tcp: null, exportTo: null }, { creationTimestamp: null, labels: { a: null, b: "c" } }),
    );
    expect([errors, unknown]).toEqual([[], []]);
    expect(object.metadata).toEqual({ name: "reviews", namespace: "shop", labels: { b: "c" } });
    expect(Object.keys(object["spec"] as object)).toEqual(["hosts", "http"]);
  });

  test("a number of a quantity becomes a text", () => {
    const resources = { limits: { cpu: 2, memory: "1Gi" } };
    const spec = { selector: { matchLabels: { app: "a" } }, template: template({}, { resources }) };
    const { object, errors } = validator.admit(deployment, deployed(spec));
    expect(errors).toEqual([]);
    expect(object).toMatchObject({
      spec: { template: { spec: { containers: [{ resources: { limits: { cpu: "2", memory: "1Gi" } } }] } } },
    });
  });

  test("a key that JavaScript gives a meaning is a key like others", () => {
    const submitted = JSON.parse('{"metadata":{"name":"a","namespace":"b"},"data":{"__proto__":"x"}}') as object;
    const { object } = validator.admit(configMap, { apiVersion: "v1", kind: "ConfigMap", ...submitted });
    expect(Object.entries(object["data"] as object)).toEqual([["__proto__", "x"]]);
    expect(Object.getPrototypeOf(object["data"])).toBe(Object.prototype);
  });
});

function template(spec: object, container: object = {}): object {
  return {
    metadata: { labels: { app: "a" } },
    spec: { containers: [{ name: "a", image: "a:1", ...container }], ...spec },
  };
}

function deployed(spec: object): object {
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "a", namespace: "shop" }, spec };
}

describe("what does not fit the schema", () => {
  const cases: readonly (readonly [string, object, readonly string[]])[] = [
    ["a missing field", { http: [{ route: [{}] }] }, ["spec.http[0].route[0].destination: Required value"]],
    ["a wrong type", { http: [{ timeout: 5 }] }, ["spec.http[0].timeout: Invalid value: 5: must be of type string"]],
    ["an object for a list", { http: {} }, ["spec.http: Invalid value: {}: must be of type array"]],
    [
      "a word that is none",
      { http: [{ corsPolicy: { unmatchedPreflights: "DROP" } }] },
      [
        'spec.http[0].corsPolicy.unmatchedPreflights: Unsupported value: "DROP": supported values: "UNSPECIFIED", "FORWARD", "IGNORE"',
      ],
    ],
    [
      "a duration that is none",
      { http: [{ timeout: "5" }] },
      [
        'spec.http[0].timeout: Invalid value: "5": must be a duration of whole milliseconds, 1ms or more, such as 250ms, 10s or 1h30m',
      ],
    ],
    [
      "a number out of range",
      { http: [{ match: [{ port: -1 }] }] },
      ["spec.http[0].match[0].port: Invalid value: -1: must be between 0 and 4294967295"],
    ],
    [
      "a whole number beyond 32 bits",
      { http: [{ route: [{ destination: { host: "a" }, weight: 2 ** 31 }] }] },
      ["spec.http[0].route[0].weight: Invalid value: 2147483648: must be between -2147483648 and 2147483647"],
    ],
    [
      "two of one",
      { http: [{ match: [{ headers: { "end.user": { exact: "a", regex: "b" } } }] }] },
      [
        "spec.http[0].match[0].headers[end.user].regex: Forbidden: only one of exact, prefix, regex may be set, and exact is",
      ],
    ],
  ];
  test.each(cases)("%s", (_, spec, expected) => {
    const errors = texts(validator.admit(virtualService, routed(spec)).errors);
    expect(errors).toEqual(expected);
  });

  test.each([[null], ["text"], [[]], [{}], [{ spec: [] }], [{ metadata: "a" }], [{ metadata: null }]])(
    "%j is refused, not thrown at",
    (submitted) => {
      for (const one of kinds) {
        expect(validator.admit(one, submitted).errors).not.toEqual([]);
        expect(validator.admit(one, submitted, { part: "status" }).errors).not.toEqual([]);
      }
    },
  );

  test("a long value is not repeated whole", () => {
    const { errors } = validator.admit(virtualService, routed({ hosts: "x".repeat(10_000) }));
    expect(errors[0]?.message.length).toBeLessThan(400);
  });
});

describe("metadata", () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ name: "" }, "metadata.name: Required value: name or generateName is required"],
    [{ name: "Reviews" }, 'metadata.name: Invalid value: "Reviews": must be a lowercase RFC 1123 subdomain'],
    [{ name: "a".repeat(254) }, "metadata.name: Invalid value"],
    [{ name: "a", generateName: "B-" }, 'metadata.generateName: Invalid value: "B-"'],
    [{ namespace: "a.b" }, 'metadata.namespace: Invalid value: "a.b": must be a lowercase RFC 1123 label'],
    [{ labels: { "a b": "c" } }, 'metadata.labels: Invalid value: "a b"'],
    [{ labels: { a: "b c" } }, 'metadata.labels: Invalid value: "b c"'],
    [{ labels: { "UP.example/x": "c" } }, 'metadata.labels: Invalid value: "UP.example/x"'],
    [{ annotations: { "/": "x" } }, 'metadata.annotations: Invalid value: "/"'],
    [{ annotations: { a: "x".repeat(256 * 1024) } }, 'metadata.annotations: Invalid value: "262145 bytes"'],
    [{ finalizers: ["a b"] }, 'metadata.finalizers[0]: Invalid value: "a b"'],
    [
      { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "", uid: "u" }] },
      "metadata.ownerReferences[0].name: Required value",
    ],
    [
      {
        ownerReferences: [
          { apiVersion: "v1", kind: "Pod", name: "a", uid: "u", controller: true },
          { apiVersion: "v1", kind: "Pod", name: "b", uid: "v", controller: true },
        ],
      },
      'metadata.ownerReferences: Invalid value: "Pod a, Pod b": only one owner may be the controller',
    ],
    [{ annotations: { "istio.io/dry-run": "true" } }, "metadata.annotations[istio.io/dry-run]: Forbidden"],
  ];
  test.each(cases)("%j", (metadata, expected) => {
    const errors = texts(validator.admit(virtualService, routed({}, metadata)).errors);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(expected);
  });

  test("a name may be left to the server", () => {
    const object = routed({}, { name: undefined, generateName: "reviews-" });
    expect(validator.admit(virtualService, object).errors).toEqual([]);
  });

  test("objects of the cluster have no namespace, others have one", () => {
    const node = { apiVersion: "v1", kind: "Node", metadata: { name: "a", namespace: "shop" } };
    expect(texts(validator.admit(kind("", "Node"), node).errors)).toEqual([
      "metadata.namespace: Forbidden: not allowed on this type",
    ]);
    expect(texts(validator.admit(virtualService, routed({}, { namespace: undefined })).errors)).toEqual([
      "metadata.namespace: Required value",
    ]);
  });

  test("names of Services and Namespaces are labels", () => {
    const service = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "1a", namespace: "shop" },
      spec: { ports: [{ port: 80 }] },
    };
    expect(texts(validator.admit(kind("", "Service"), service).errors)[0]).toContain("must be an RFC 1035 label");
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "a.b" } };
    expect(texts(validator.admit(kind("", "Namespace"), namespace).errors)[0]).toContain("RFC 1123 label");
  });
});

describe("the parts of an object", () => {
  const whole = { ...routed({}), status: { observedGeneration: "no number" } };

  test("a status is left out, and not checked, where it has its own subresource", () => {
    const { object, errors } = validator.admit(virtualService, whole);
    expect(errors).toEqual([]);
    expect("status" in object).toBe(false);
  });

  test("of a status, the specification is not checked", () => {
    const { errors } = validator.admit(virtualService, { ...whole, spec: 5 }, { part: "status" });
    expect(texts(errors)).toEqual(['status.observedGeneration: Invalid value: "no number": must be of type integer']);
    const fine = { ...whole, status: { observedGeneration: 1, conditions: [], more: { x: 1 } } };
    const { object, errors: none } = validator.admit(virtualService, fine, { part: "status" });
    expect(none).toEqual([]);
    expect(object["status"]).toEqual({ observedGeneration: 1, conditions: [], more: { x: 1 } });
  });
});

/** A kind without the checks that a schema cannot say, which arbitrary objects would not pass. */
function schemaOnly(one: Kind): Kind {
  const { validate: _, warnings: __, ...rest } = one;
  return rest;
}

describe.each(kinds.map((one) => [one.kind, schemaOnly(one)] as const))("any %s", (_, one) => {
  test("that fits its schema passes, nothing of it is unknown, and completing it twice is completing it once", () => {
    fc.assert(
      fc.property(objectsOf(one), (submitted) => {
        const first = validator.admit(one, submitted);
        expect(texts(first.errors)).toEqual([]);
        expect(first.unknown).toEqual([]);
        const second = validator.admit(one, first.object);
        expect(texts(second.errors)).toEqual([]);
        expect(second.object).toEqual(first.object);
        if (one.status && submitted["status"] !== undefined) {
          const status = validator.admit(one, submitted, { part: "status" });
          expect(texts(status.errors)).toEqual([]);
        }
      }),
      { numRuns: runs(60) },
    );
  });

  test("keeps its checks from throwing, whatever fits the schema", () => {
    const full = kindOf(one.group, one.kind);
    fc.assert(
      fc.property(objectsOf(one), (submitted) => {
        if (full === undefined) throw new Error("kind is gone");
        const { errors, object } = validator.admit(full, submitted, {
          before: validator.admit(full, submitted).object,
        });
        for (const error of errors) expect(error.field === "" && error.message === "").toBe(false);
        if (errors.length === 0) for (const column of full.columns) column.cell(object, 0);
      }),
      { numRuns: runs(60) },
    );
  });
});
