import { describe, expect, test } from "vitest";
import { messageTypes } from "#api/message-types.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { analyze } from "./analyze.ts";
import { analyzers } from "./analyzers.ts";
import { loadFile, type Loaded } from "./load.ts";
import type { Message } from "./message.ts";
import { credentialCases } from "./testing/credential-cases.ts";
import { discoveryCases } from "./testing/discovery-cases.ts";
import { otherCases } from "./testing/other-cases.ts";
import { policyCases } from "./testing/policy-cases.ts";
import { routingCases } from "./testing/routing-cases.ts";
import { type Case, fine, routes } from "./testing/written.ts";

const cases = [...routingCases, ...otherCases, ...credentialCases, ...discoveryCases, ...policyCases];
const validator = new Validator();

function load(text: string, cluster = "east"): Loaded {
  return loadFile(text, `${cluster}.yaml`, {
    namespace: "default",
    cluster,
    created: "2026-01-01T00:00:00Z",
    validator,
  });
}

function messagesOf(text: string, { code, live, west }: Partial<Case> = {}): readonly Message[] {
  // Alpha annotations are told of only where asked for.
  const chosen = analyzers.filter(({ onRequest }) => onRequest !== true || code === "IST0136");
  const parts = [load(`${fine}---\n${text}`), ...(west === undefined ? [] : [load(west, "west")])];
  const files = {
    objects: parts.flatMap(({ objects }) => objects),
    problems: parts.flatMap(({ problems }) => problems),
  };
  const all = analyze({ snapshot: [], live: live === true, files, analyzers: chosen, validator });
  // What is not carried out changes from release to release.
  return all.filter(({ type }) => type.code !== "NotImplemented");
}

function place({ resource, field }: Message): string {
  return `${resource?.kind ?? ""} ${resource?.name ?? ""}: ${field ?? ""}`;
}

function told(messages: readonly Message[]): readonly string[] {
  return messages.map((message) => `${message.type.code} ${place(message)}`);
}

test("nothing is wrong with objects that are fine", () => {
  expect(told(messagesOf("{}").filter(({ type }) => type.code !== "InvalidYAML"))).toEqual([]);
});

describe.each(cases)("$code $title", (each) => {
  const { code, bad, at, good, fix, beside = [] } = each;
  const messages = messagesOf(bad, each);

  test("is told of, at its place, and nothing else is", () => {
    expect(told(messages)).toContain(`${code} ${at}`);
    const others = messages.map(({ type }) => type.code).filter((other) => other !== code && !beside.includes(other));
    expect(others).toEqual([]);
  });

  test("is not told of where it is not", () => {
    const left = messagesOf(good, each).map(({ type }) => type.code);
    expect(left.filter((other) => !beside.includes(other))).toEqual([]);
  });

  test("has a repair where it can have one", () => {
    const found = messages.find((message) => `${message.type.code} ${place(message)}` === `${code} ${at}`);
    expect(found?.fix !== undefined).toBe(fix === true);
  });
});

describe("conditions that a live mesh writes", () => {
  function conditionOf(type: string, status: string, reason: string): readonly string[] {
    const [placed] = load(routes("[{ route: [{ destination: { host: reviews } }] }]")).objects;
    const conditions = [
      { type: "Accepted", status: "False", reason: "UnknownHost", message: "m" },
      { type, status, reason, message: "m" },
    ];
    const snapshot = [
      ...load(fine).objects,
      ...(placed ? [{ ...placed, object: { ...placed.object, status: { conditions } } }] : []),
    ];
    const files = { objects: [], problems: [] };
    return told(analyze({ snapshot, live: true, files, analyzers, validator }));
  }

  test.each([
    ["Programmed", "False", "Refused", ["IST0171 VirtualService x: status.conditions[1]"]],
    ["Programmed", "False", "Pending", []],
    ["Programmed", "False", "NoProxies", []],
    ["Programmed", "True", "Programmed", []],
    ["Other", "False", "Odd", []],
  ])("%s is %s for %s", (type, status, reason, messages) =>
    expect(conditionOf(type, status, reason)).toEqual(
      // Files' Deployments stand for Pods; this mesh has none.
      ["IST0101 Gateway edge: spec.selector", ...messages],
    ),
  );
});

test.each([
  ["True", "Signing", []],
  ["True", "ExpiresSoon", ["EndingAuthority Mesh default: status.conditions[0]"]],
  ["False", "Unusable", ["UnusableAuthority Mesh default: status.conditions[0]"]],
  ["False", "Expired", ["UnusableAuthority Mesh default: status.conditions[0]"]],
])("the mesh's authority is %s, %s", (status, reason, expected) => {
  const conditions = [{ type: "AuthorityReady", status, reason, message: "m" }];
  const object = { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default" }, spec: {} };
  const snapshot = [{ object: { ...object, status: { conditions } } as unknown as ResourceObject, cluster: "" }];
  const files = { objects: [], problems: [] };
  expect(told(analyze({ snapshot, live: true, files, analyzers, validator }))).toEqual(expected);
});

test.each([
  ["True", "", []],
  ["False", "Secret a/b, key c: d\nSecret a/b, key e: f", ["RemoteSecretRefused Mesh default: status.conditions[0]"]],
])("remote secrets are accepted, %s: %j", (status, message, expected) => {
  const conditions = [{ type: "RemoteSecretsAccepted", status, reason: "Told", message }];
  const object = { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default" }, spec: {} };
  const snapshot = [{ object: { ...object, status: { conditions } } as unknown as ResourceObject, cluster: "" }];
  const files = { objects: [], problems: [] };
  expect(told(analyze({ snapshot, live: true, files, analyzers, validator }))).toEqual(expected);
});

test.each([
  ["west", []],
  ["east", ["IST0173 DestinationRule zoned: spec.subsets[0]"]],
])("Pods of files are where their Nodes are: a subset of region %s gets %j", (region, expected) => {
  const nodes = `apiVersion: v1
kind: Node
metadata: { name: n1, labels: { topology.kubernetes.io/region: west } }
---
apiVersion: v1
kind: Pod
metadata: { name: placed, namespace: shop, labels: { app: placed } }
spec: { nodeName: n1, containers: [{ name: main, image: i }] }
---
apiVersion: v1
kind: Service
metadata: { name: placed, namespace: shop }
spec: { selector: { app: placed }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: zoned, namespace: shop }
spec:
  host: placed.shop.svc.cluster.local
  subsets: [{ name: a, labels: { topology.kubernetes.io/region: ${region} } }]
`;
  expect(told(messagesOf(nodes))).toEqual(expected);
});

test("an object of a file that replaces another keeps its age, which decides who wins", () => {
  const older = load(
    routes("[{ route: [{ destination: { host: reviews } }] }]").replace("name: x", "name: z"),
  ).objects.map(({ object, cluster }) => ({
    object: { ...object, metadata: { ...object.metadata, creationTimestamp: "2020-01-01T00:00:00Z" } },
    cluster,
  }));
  const text = routes("[{ route: [{ destination: { host: reviews } }], timeout: 1s }]");
  const files = load(`${fine}---\n${text.replace("name: x", "name: z")}---\n${text}`);
  const chosen = analyzers.filter(({ onRequest }) => onRequest !== true);
  const messages = analyze({ snapshot: older, live: false, files, analyzers: chosen, validator });
  expect(messages.map((each) => [told([each])[0], each.message.includes("shop/z is for the host")])).toEqual([
    ["IST0109 VirtualService x: spec.hosts[0]", true],
    ["IST0109 VirtualService z: spec.hosts[0]", false],
  ]);
  expect(messages[0]?.message).toContain("goes first");
});

test("an object that files have twice is told of where it is again, and the last one counts", () => {
  const files = load(
    `${fine}---\n${routes("[{ route: [{ destination: { host: nobody } }] }]")}---\n${routes("[{ route: [{ destination: { host: reviews } }] }]")}`,
  );
  const chosen = analyzers.filter(({ onRequest }) => onRequest !== true);
  const messages = analyze({ snapshot: [], live: false, files, analyzers: chosen, validator });
  expect(told(messages)).toEqual(["DuplicateObject VirtualService x: "]);
  const lines = fine.split("\n").length;
  expect(messages[0]?.position?.line).toBe(lines + 5 + 1);
  expect(messages[0]?.message).toContain(`east.yaml:${lines + 1} `);
});

test("every kind of message has a case", () => {
  // The API refuses objects with some of them; others depend on more than objects, or on what is carried out.
  const refused = ["AddressNotIP", "TooManyEndpoints", "InvalidHash"];
  const patches = ["NoEffect", "InvalidPatch", "UnknownField"];
  const delegates = ["DelegateConflict", "DelegateNotVisible"];
  // What proxies do is no object's fault; `xds/hostile.test.ts` has a case of each.
  const conduct = [
    "ProxyAsksTooMuch",
    "ProxyChangesNode",
    "ProxyClaimsMany",
    "ProxyDuplicated",
    "ProxyFloods",
    "ProxyForeignAnswer",
    "ProxyInvalidNode",
    "ProxyInvalidRequest",
    "ProxyNeverReads",
    "ProxyReconnects",
    "ProxyRefusesAgain",
    "ProxySaysNothing",
  ];
  const elsewhere = [
    "InvalidYAML",
    "DuplicateObject",
    // What a live mesh writes, above.
    "IST0171",
    "EndingAuthority",
    "RemoteSecretRefused",
    "UnusableAuthority",
    "NotImplemented",
    // Where nobody fetches.
    "KeysUnavailable",
    // Where no agent tells what its Envoy holds; `test/agent/sidecar-status.test.ts` has a case.
    "ProxyEndpointsStale",
    // Where nobody asks clusters who may read Secrets.
    "ForbiddenCredential",
    // Where nobody says what time it is; `model/findings/credentials.test.ts` has a case.
    "EndingCredential",
    ...patches,
    ...delegates,
    ...refused,
    ...conduct,
  ];
  const missing = messageTypes.map(({ code }) => code).filter((code) => !cases.some((each) => each.code === code));
  expect(missing.toSorted()).toEqual(elsewhere.toSorted());
});
