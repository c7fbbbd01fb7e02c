import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { ResourceObject } from "../meta.ts";
import { kindOf, kindOfObject, kinds } from "../kinds.ts";
import { type Case, errorLines, submit } from "../testing/submit.ts";
import { type Admission, Validator } from "../validation.ts";
import { gatewayApiGroup } from "./names.ts";

const validator = new Validator();
const folder = new URL("testdata/examples/", import.meta.url);

/** Objects that use what the reference shows of each kind, with what the server would fill in. */
const examples = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(new URL(file, folder), "utf8")).map((one) => one.toJS() as ResourceObject),
);

const admit = (kind: string, spec: object, before?: ResourceObject): Admission =>
  submit(kindOf(gatewayApiGroup, kind), { spec }, { before });
const errorsOf = (kind: string, spec: object): readonly string[] => errorLines(admit(kind, spec));

describe("what the reference shows", () => {
  test.each(examples.map((one) => [`${one.kind} ${one.metadata.name}`, one] as const))(
    "%s is accepted without a word, and kept as it is",
    (_, { status: __, ...object }) => {
      const kind = kindOfObject(object);
      if (kind === undefined) throw new Error(`no kind for ${object.apiVersion} ${object.kind}`);
      const admitted = validator.admit(kind, object);
      expect(admitted).toMatchObject({ errors: [], unknown: [], warnings: [] });
      expect({ ...admitted.object, status: undefined }).toEqual({ ...object, status: undefined });
    },
  );

  test("is of every kind", () => {
    const shown = new Set(examples.map(({ kind }) => kind));
    const all = kinds.filter(({ group }) => group === gatewayApiGroup).map(({ kind }) => kind);
    expect([...shown].toSorted()).toEqual(all.toSorted());
  });
});

describe("GatewayClass", () => {
  const spec = { controllerName: "example.com/a" };
  test.each<Case>([
    [{}, "spec.controllerName: Required value"],
    [
      { controllerName: "a" },
      `spec.controllerName: Invalid value: "a": must be a DNS name, '/' and a path, such as example.com/gateway-controller`,
    ],
  ])("%j", (given, error) => {
    expect(errorsOf("GatewayClass", given)).toEqual([error]);
  });

  test("waits for its controller, which stays", () => {
    const { object } = admit("GatewayClass", spec);
    expect(object["status"]).toMatchObject({
      conditions: [{ type: "Accepted", status: "Unknown", reason: "Pending" }],
    });
    expect(admit("GatewayClass", { controllerName: "example.com/b" }, object).errors).toMatchObject([
      { field: "spec.controllerName", message: "Forbidden: may not be changed" },
    ]);
  });

  test("shows its controller and whether it is accepted", () => {
    const { object } = admit("GatewayClass", spec);
    const cells = kindOf(gatewayApiGroup, "GatewayClass")!.columns.map(({ name, cell }) => [name, cell(object)]);
    expect(cells).toEqual([
      ["Controller", "example.com/a"],
      ["Accepted", "Unknown"],
      ["Age", undefined],
      ["Description", ""],
    ]);
  });
});

describe("Gateway", () => {
  const gateway = (...listeners: object[]): object => ({ gatewayClassName: "a", listeners });
  const http = { name: "a", port: 80, protocol: "HTTP" };
  const at = "spec.listeners[0]";
  test.each<Case>([
    [gateway(), "spec.listeners: Invalid value: []: must have 1 items or more"],
    [gateway({ ...http, tls: { mode: "Passthrough" } }), `${at}.tls: Forbidden: not with the protocol HTTP`],
    [gateway({ ...http, protocol: "TLS" }), `${at}.tls: Required value: with the protocol TLS`],
    [
      gateway({ ...http, protocol: "HTTPS", tls: { mode: "Passthrough" } }),
      `${at}.tls.mode: Unsupported value: "Passthrough": supported values: "Terminate"`,
    ],
    [
      gateway({ ...http, protocol: "HTTPS", tls: {} }),
      `${at}.tls.certificateRefs: Required value: certificateRefs or options, where TLS is terminated`,
    ],
    [gateway({ ...http, protocol: "TCP", hostname: "a" }), `${at}.hostname: Forbidden: not with the protocol TCP`],
    [
      gateway({ ...http, hostname: "a.*" }),
      `${at}.hostname: Invalid value: "a.*": must be a DNS name in lower case, whose first label may be a wildcard, *`,
    ],
    [gateway(http, { ...http, port: 81 }), 'spec.listeners[1].name: Duplicate value: "a"'],
    [gateway(http, { ...http, name: "b" }), 'spec.listeners[1]: Duplicate value: "80 HTTP"'],
    [
      { ...gateway(http), addresses: [{ value: "a" }] },
      'spec.addresses[0].value: Invalid value: "a": must be an IP address',
    ],
    [
      { ...gateway(http), addresses: [{ value: "::1" }, { value: "::1" }] },
      'spec.addresses[1].value: Duplicate value: "::1"',
    ],
    [
      { ...gateway(http), addresses: [{ type: "Hostname", value: "A" }] },
      'spec.addresses[0].value: Invalid value: "A": must be a DNS name in lower case, whose first label may be a wildcard, *',
    ],
    [{ ...gateway(http), tls: { frontend: {} } }, "spec.tls.frontend.default: Required value"],
    [
      { ...gateway(http), tls: { frontend: { default: {}, perPort: [1, 1].map((port) => ({ port, tls: {} })) } } },
      "spec.tls.frontend.perPort[1].port: Duplicate value: 1",
    ],
    [
      { ...gateway(http), infrastructure: { labels: { a: "-" } } },
      `spec.infrastructure.labels[a]: Invalid value: "-": must be empty, or letters, digits, '-', '_' and '.', with a letter or digit at both ends, at most 63 characters`,
    ],
  ])("%j", (spec, error) => {
    expect(errorsOf("Gateway", spec)).toEqual([error]);
  });

  test("is completed as its CRD says", () => {
    const { object } = admit("Gateway", gateway(http));
    expect(object).toMatchObject({
      spec: { listeners: [{ allowedRoutes: { namespaces: { from: "Same" } } }] },
      status: { conditions: [{ type: "Accepted" }, { type: "Programmed" }] },
    });
  });
});

describe("BackendTLSPolicy", () => {
  const target = { group: "", kind: "Service", name: "a" };
  const validation = { hostname: "a", wellKnownCACertificates: "System" };
  const named = (subject: object): object => ({
    targetRefs: [target],
    validation: { ...validation, subjectAltNames: [subject] },
  });
  test.each<Case>([
    [{ targetRefs: [target, target], validation }, 'spec.targetRefs[1].sectionName: Duplicate value: ""'],
    [
      { targetRefs: [{ ...target, sectionName: "a" }, target], validation },
      "spec.targetRefs[1].sectionName: Required value: where a target is named twice",
    ],
    [
      { targetRefs: [target], validation: { hostname: "a" } },
      "spec.validation: Required value: caCertificateRefs or wellKnownCACertificates",
    ],
    [
      { targetRefs: [target], validation: { ...validation, caCertificateRefs: [target] } },
      "spec.validation.wellKnownCACertificates: Forbidden: not together with caCertificateRefs",
    ],
    [named({ type: "URI" }), "spec.validation.subjectAltNames[0].uri: Required value"],
    [
      named({ type: "Hostname", hostname: "a", uri: "a://b" }),
      "spec.validation.subjectAltNames[0].uri: Forbidden: only with the type URI",
    ],
  ])("%j", (spec, error) => {
    expect(errorsOf("BackendTLSPolicy", spec)).toEqual([error]);
  });

  test("two ports of one Service are two targets", () => {
    const targetRefs = ["a", "b"].map((sectionName) => ({ ...target, sectionName }));
    expect(errorsOf("BackendTLSPolicy", { targetRefs, validation })).toEqual([]);
  });
});
