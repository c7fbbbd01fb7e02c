import { describe, expect, test } from "vitest";
import type { Admission } from "../validation.ts";
import { kinds } from "../kinds.ts";
import { type Case, errorLines, submit } from "../testing/submit.ts";

function admit(name: string, spec: object, metadata: object = {}): Admission {
  const kind = kinds.find((one) => one.group.endsWith(".istio.io") && one.kind === name);
  return submit(kind, { spec }, { metadata });
}

const errorsOf = (kind: string, spec: object, metadata: object = {}): readonly string[] =>
  errorLines(admit(kind, spec, metadata));

const selector = { matchLabels: { app: "reviews" } };

const selectors: readonly Case[] = [
  [
    { selector: { matchLabels: { "": "a" } } },
    'spec.selector.matchLabels: Invalid value: "": a label\'s name must not be empty',
  ],
  [
    { selector: { matchLabels: { app: "a*" } } },
    'spec.selector.matchLabels[app]: Invalid value: "a*": wildcards are not supported',
  ],
  [
    { selector: { matchLabels: { app: "a".repeat(64) } } },
    `spec.selector.matchLabels.app: Invalid value: "${"a".repeat(64)}": must have 63 characters or fewer`,
  ],
];

describe("ProxyConfig", () => {
  test.each<Case>([
    ...selectors,
    [{ concurrency: -1 }, "spec.concurrency: Invalid value: -1: must be 0 or more"],
    [{ concurrency: 1.5 }, "spec.concurrency: Invalid value: 1.5: must be of type integer"],
  ])("%j", (spec, error) => {
    expect(errorsOf("ProxyConfig", spec)).toEqual([error]);
  });

  test("of an empty selector is warned", () => {
    expect(admit("ProxyConfig", { selector: { matchLabels: {} } }).warnings).toEqual([
      "spec.selector: without labels, all workloads of the namespace are selected",
    ]);
  });
});

describe("PeerAuthentication", () => {
  test.each<Case>([
    ...selectors,
    [
      { mtls: { mode: "STRIKT" } },
      'spec.mtls.mode: Unsupported value: "STRIKT": supported values: "UNSET", "DISABLE", "PERMISSIVE", "STRICT"',
    ],
    [{ selector, portLevelMtls: {} }, "spec.portLevelMtls: Required value: one port or more"],
    [{ portLevelMtls: { 80: {} } }, "spec.portLevelMtls: Forbidden: needs a selector with labels"],
    [{ selector: {}, portLevelMtls: { 80: {} } }, "spec.portLevelMtls: Forbidden: needs a selector with labels"],
    ...["0", "65536", "http", "-1"].map((port): Case => [
      { selector, portLevelMtls: { [port]: { mode: "STRICT" } } },
      `spec.portLevelMtls: Invalid value: "${port}": a port must be between 1 and 65535`,
    ]),
  ])("%j", (spec, error) => {
    expect(errorsOf("PeerAuthentication", spec)).toEqual([error]);
  });

  test("cannot be tried out", () => {
    expect(errorsOf("PeerAuthentication", {}, { annotations: { "istio.io/dry-run": "true" } })).toEqual([
      "metadata.annotations[istio.io/dry-run]: Forbidden: may not be set on this type",
    ]);
  });
});

describe("EnvoyFilter", () => {
  const manager = "envoy.filters.network.http_connection_manager";
  const patch = { operation: "ADD", value: { name: "a" } };
  const patching = (one: object): object => ({ configPatches: [one] });
  const filter = (filter: object): object => ({ listener: { filterChain: { filter } } });
  const cases: readonly Case[] = [
    [{ patch }, "applyTo: Required value"],
    [{ applyTo: "INVALID", patch }, "applyTo: Required value"],
    [{ applyTo: "CLUSTER" }, "patch: Required value"],
    [{ applyTo: "CLUSTER", patch: { value: {} } }, "patch.operation: Required value"],
    [{ applyTo: "CLUSTER", patch: { operation: "MERGE" } }, "patch.value: Required value: MERGE needs one"],
    [
      { applyTo: "CLUSTER", match: { proxy: { proxyVersion: "(" } }, patch },
      'match.proxy.proxyVersion: Invalid value: "(": must be a regular expression of RE2: missing closing ): `(`',
    ],
    [
      { applyTo: "HTTP_FILTER", match: { cluster: {} }, patch },
      "match.cluster: Forbidden: HTTP_FILTER can only be matched by listener",
    ],
    [
      { applyTo: "VIRTUAL_HOST", match: { listener: {} }, patch },
      "match.listener: Forbidden: VIRTUAL_HOST can only be matched by routeConfiguration",
    ],
    [
      { applyTo: "CLUSTER", match: { routeConfiguration: {} }, patch },
      "match.routeConfiguration: Forbidden: CLUSTER can only be matched by cluster",
    ],
    [
      { applyTo: "CLUSTER", match: { cluster: {}, listener: {} }, patch },
      "match.cluster: Forbidden: only one of listener, routeConfiguration, cluster, waypoint may be set, and listener is",
    ],
    [{ applyTo: "NETWORK_FILTER", match: filter({}), patch }, "match.listener.filterChain.filter.name: Required value"],
    [
      { applyTo: "NETWORK_FILTER", match: filter({ name: manager, subFilter: {} }), patch },
      "match.listener.filterChain.filter.subFilter: Forbidden: only with applyTo HTTP_FILTER",
    ],
    [
      { applyTo: "HTTP_FILTER", match: filter({ name: "a", subFilter: {} }), patch },
      `match.listener.filterChain.filter.name: Invalid value: "a": must be ${manager} where subFilter is set`,
    ],
    [
      { applyTo: "HTTP_FILTER", match: filter({ name: manager, subFilter: {} }), patch },
      "match.listener.filterChain.filter.subFilter.name: Required value",
    ],
    [{ match: { context: "WAYPOINT" } }, "match.waypoint: Required value"],
    [
      { applyTo: "BOOTSTRAP", match: { waypoint: {} }, patch },
      "match.waypoint: Forbidden: only with the context WAYPOINT",
    ],
    [
      { match: { context: "WAYPOINT", waypoint: { portNumber: 65_536 } } },
      "match.waypoint.portNumber: Invalid value: 65536: must be between 1 and 65535",
    ],
  ];
  test.each(cases)("patches: %j", (one, error) => {
    expect(errorsOf("EnvoyFilter", patching(one))).toEqual([`spec.configPatches[0].${error}`]);
  });

  test.each<Case>([
    [
      { workloadSelector: { labels: { app: "*" } } },
      'spec.workloadSelector.labels[app]: Invalid value: "*": wildcards are not supported',
    ],
    [
      { workloadSelector: {}, targetRefs: [] },
      "spec.targetRefs: Forbidden: only one of workloadSelector, targetRefs may be set, and workloadSelector is",
    ],
    [
      { targetRefs: [{ kind: "Anything", name: "a", namespace: "b" }] },
      "spec.targetRefs[0].namespace: Forbidden: only objects of the same namespace can be meant",
    ],
  ])("targets: %j", (spec, error) => {
    expect(errorsOf("EnvoyFilter", spec)).toEqual([error]);
  });

  test("keeps any value, however it is called", () => {
    const value = JSON.parse('{"typed_config":{"@type":"x","__proto__":{"a":null},"list":[null,{}]}}') as object;
    const spec = patching({ applyTo: "HTTP_FILTER", patch: { operation: "ADD", value } });
    expect(admit("EnvoyFilter", spec)).toMatchObject({ object: { spec }, errors: [], unknown: [] });
  });

  test("of what does nothing is warned", () => {
    const one = { applyTo: "LISTENER", match: { proxy: { proxyVersion: "1".repeat(1025) }, ...filter({ name: "a" }) } };
    expect(admit("EnvoyFilter", { workloadSelector: {}, ...patching({ ...one, patch }) }).warnings).toEqual([
      "spec.workloadSelector: without labels, all workloads of the namespace are selected",
      "spec.configPatches[0].match.proxy.proxyVersion: has more than 1024 characters and is ignored",
      "spec.configPatches[0].match.listener.filterChain.filter: does nothing for LISTENER",
    ]);
  });
});

const targets: readonly Case[] = [
  [
    { selector: {}, targetRefs: [] },
    "spec.targetRefs: Forbidden: only one of selector, targetRef, targetRefs may be set, and selector is",
  ],
  [{ targetRefs: [{ kind: "Service" }] }, "spec.targetRefs[0].name: Required value"],
  [
    { targetRefs: [{ kind: "Pod", name: "a" }] },
    'spec.targetRefs[0]: Unsupported value: "/Pod": supported values: "/Service", "networking.istio.io/ServiceEntry", "gateway.networking.k8s.io/Gateway", "gateway.networking.k8s.io/GatewayClass"',
  ],
  [
    { targetRefs: [{ kind: "Service", name: "a", namespace: "b" }] },
    "spec.targetRefs[0].namespace: Forbidden: only objects of the same namespace can be meant",
  ],
];

describe("WasmPlugin", () => {
  const url = "oci://registry.example.com/filter";
  const env = (...env: object[]): object => ({ url, vmConfig: { env } });
  test.each<Case>([
    ...[...selectors, ...targets].map(([spec, error]): Case => [{ url, ...spec }, error]),
    [{}, "spec.url: Required value"],
    [{ url: "" }, 'spec.url: Invalid value: "": must have 1 characters or more'],
    [{ url: "ftp://a" }, 'spec.url: Invalid value: "ftp://a": must have the scheme oci, https, http or file'],
    [{ url: "host:80/a" }, 'spec.url: Invalid value: "host:80/a": must have the scheme oci, https, http or file'],
    ...["#%blah$#@", "http://a b/", "https://", "oci://a/%zz"].map((wrong): Case => [
      { url: wrong },
      `spec.url: Invalid value: "${wrong}": must be a URL, such as oci://registry.example.com/filter:v1`,
    ]),
    [{ url, sha256: "abc" }, 'spec.sha256: Invalid value: "abc": must match pattern "(^$|^[a-f0-9]{64}$)"'],
    [{ url, imagePullSecret: "" }, 'spec.imagePullSecret: Invalid value: "": must have 1 characters or more'],
    [{ url, match: [{ ports: [{}] }] }, "spec.match[0].ports[0].number: Required value"],
    [
      { url, match: [{ ports: [{ number: 0 }] }] },
      "spec.match[0].ports[0].number: Invalid value: 0: must be between 1 and 65535",
    ],
    [{ url, match: [{ ports: [{ number: 1 }, { number: 1 }] }] }, "spec.match[0].ports[1].number: Duplicate value: 1"],
    [env({ name: "A" }, { name: "A" }), 'spec.vmConfig.env[1].name: Duplicate value: "A"'],
    [
      env({ name: "A", valueFrom: "HOST", value: "a" }),
      "spec.vmConfig.env[0].value: Forbidden: only with valueFrom INLINE",
    ],
  ])("%j", (spec, error) => {
    expect(errorsOf("WasmPlugin", spec)).toEqual([error]);
  });
});

describe("TrafficExtension", () => {
  const lua = { inlineCode: "x" };
  test.each<Case>([
    ...[...selectors, ...targets].map(([spec, error]): Case => [{ lua, ...spec }, error]),
    [{}, "spec: Required value: wasm or lua"],
    [{ lua, wasm: { url: "a" } }, "spec.lua: Forbidden: only one of wasm, lua may be set, and wasm is"],
    [{ lua: { inlineCode: "" } }, 'spec.lua.inlineCode: Invalid value: "": must have 1 characters or more'],
    [{ wasm: {} }, "spec.wasm.url: Required value"],
    [{ wasm: { url: "x:y" } }, 'spec.wasm.url: Invalid value: "x:y": must have the scheme oci, https, http or file'],
  ])("%j", (spec, error) => {
    expect(errorsOf("TrafficExtension", spec)).toEqual([error]);
  });
});

describe("Telemetry", () => {
  const tags = (tagOverrides: object): object => ({ metrics: [{ overrides: [{ tagOverrides }] }] });
  test.each<Case>([
    ...selectors,
    ...targets,
    [
      { tracing: [{ randomSamplingPercentage: 101 }] },
      "spec.tracing[0].randomSamplingPercentage: Invalid value: 101: must be between 0 and 100",
    ],
    [
      { tracing: [{ providers: [{ name: "" }] }] },
      'spec.tracing[0].providers[0].name: Invalid value: "": must have 1 characters or more',
    ],
    [
      { tracing: [{ customTags: { "": {} } }] },
      `spec.tracing[0].customTags: Invalid value: "": a tag's name must not be empty`,
    ],
    [
      { tracing: [{ customTags: { a: { literal: { value: "b" }, header: { name: "c" } } } }] },
      "spec.tracing[0].customTags.a.header: Forbidden: only one of literal, environment, header, formatter may be set, and literal is",
    ],
    [
      { tracing: [{ customTags: { a: { literal: {} } } }] },
      "spec.tracing[0].customTags.a.literal.value: Required value",
    ],
    [
      tags({ a: { operation: "UPSERT" } }),
      "spec.metrics[0].overrides[0].tagOverrides[a].value: Required value: UPSERT needs one",
    ],
    [tags({ a: {} }), "spec.metrics[0].overrides[0].tagOverrides[a].value: Required value: UPSERT needs one"],
    [
      tags({ a: { operation: "REMOVE", value: "b" } }),
      "spec.metrics[0].overrides[0].tagOverrides[a].value: Forbidden: only with the operation UPSERT",
    ],
    [
      { metrics: [{ overrides: [{ match: { customMetric: "" } }] }] },
      'spec.metrics[0].overrides[0].match.customMetric: Invalid value: "": must have 1 characters or more',
    ],
    [
      { metrics: [{ reportingInterval: "0s" }] },
      'spec.metrics[0].reportingInterval: Invalid value: "0s": must be a millisecond or more',
    ],
    [{ accessLogging: [{ filter: {} }] }, "spec.accessLogging[0].filter.expression: Required value"],
  ])("%j", (spec, error) => {
    expect(errorsOf("Telemetry", spec)).toEqual([error]);
  });

  test("of what has no effect is warned", () => {
    const providers = [{ name: "a" }, { name: "b" }];
    const spec = { tracing: [{ providers }, {}], ...tags({ "": { value: "a" } }) };
    expect(admit("Telemetry", spec).warnings).toEqual([
      "spec.tracing: only the first entry has effect",
      "spec.tracing[0].providers: only the first provider has effect",
      "spec.metrics[0].overrides[0].tagOverrides: a tag's name should not be empty",
    ]);
  });
});

describe("RequestAuthentication", () => {
  const issuer = "issuer";
  const rule = (one: object): object => ({ jwtRules: [one] });
  const rules: readonly Case[] = [
    [{}, "jwtRules[0]: Required value: issuer or jwksUri"],
    [{ jwks: '{"keys":[]}' }, "jwtRules[0]: Required value: issuer or jwksUri"],
    [{ issuer: "" }, 'jwtRules[0].issuer: Invalid value: "": must have 1 characters or more'],
    [{ issuer, audiences: [""] }, 'jwtRules[0].audiences[0]: Invalid value: "": must have 1 characters or more'],
    [{ jwksUri: "ftp://a" }, 'jwtRules[0].jwksUri: Invalid value: "ftp://a": must be a URL of http or https'],
    [{ jwks_uri: "https://" }, 'jwtRules[0].jwks_uri: Invalid value: "https://": must be a URL of http or https'],
    [
      { issuer, jwksUri: "https://a", jwks: "" },
      "jwtRules[0].jwks: Forbidden: only one of jwksUri, jwks_uri, jwks may be set, and jwksUri is",
    ],
    ...(
      [
        ["no JSON", "must be a JSON Web Key Set: an object with a list of keys"],
        ["null", "must be a JSON Web Key Set: an object with a list of keys"],
        ['{"keys":1}', "must be a JSON Web Key Set: an object with a list of keys"],
        ["{}", "key 0 must have kty: RSA, EC, OKP or oct"],
        ['{"keys":[null]}', "key 0 must have kty: RSA, EC, OKP or oct"],
        ['{"keys":[{"kty":"RSA","n":"a"}]}', "key 0 lacks e"],
      ] as const
    ).map(([jwks, problem]): Case => [
      { issuer, jwks },
      `jwtRules[0].jwks: Invalid value: ${JSON.stringify(jwks)}: ${problem}`,
    ]),
    [{ issuer, fromHeaders: [{ prefix: "a" }] }, "jwtRules[0].fromHeaders[0].name: Required value"],
    [{ issuer, fromParams: [""] }, 'jwtRules[0].fromParams[0]: Invalid value: "": must have 1 characters or more'],
    [{ issuer, fromCookies: [""] }, 'jwtRules[0].fromCookies[0]: Invalid value: "": must have 1 characters or more'],
    [
      { issuer, outputClaimToHeaders: [{ header: ":authority", claim: "a" }] },
      'jwtRules[0].outputClaimToHeaders[0].header: Invalid value: ":authority": must match pattern "^[-_A-Za-z0-9]+$"',
    ],
    [
      { issuer, timeout: "apple" },
      'jwtRules[0].timeout: Invalid value: "apple": must be a duration of whole milliseconds, 1ms or more, such as 250ms, 10s or 1h30m',
    ],
  ];
  test.each<Case>([...selectors, ...targets])("targets: %j", (spec, error) => {
    expect(errorsOf("RequestAuthentication", spec)).toEqual([error]);
  });
  test.each(rules)("rules: %j", (one, error) => {
    expect(errorsOf("RequestAuthentication", rule(one))).toEqual([`spec.${error}`]);
  });

  test("of private keys is warned", () => {
    const keys = [
      { kty: "oct", k: "a" },
      { kty: "OKP", crv: "Ed25519", x: "a" },
      { kty: "RSA", n: "a", e: "b", d: "c" },
    ];
    expect(admit("RequestAuthentication", rule({ issuer, jwks: JSON.stringify({ keys }) })).warnings).toEqual([
      "spec.jwtRules[0].jwks: key 0 holds a private key; only public ones are used",
      "spec.jwtRules[0].jwks: key 2 holds a private key; only public ones are used",
    ]);
  });
});
