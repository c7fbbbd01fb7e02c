import { describe, expect, test } from "vitest";
import type { Admission } from "../validation.ts";
import { type Case, errorLines, submit } from "../testing/submit.ts";
import { authorizationPolicy } from "./authorization-policy.ts";

const admit = (spec: object, annotations: object = {}): Admission =>
  submit(authorizationPolicy, { spec }, { metadata: { annotations } });
const errorsOf = (spec: object, annotations: object = {}): readonly string[] => errorLines(admit(spec, annotations));

const from = (source: object): object => ({ rules: [{ from: [{ source }] }] });
const to = (operation: object): object => ({ rules: [{ to: [{ operation }] }] });
const when = (key: string, values: readonly string[] = ["a"]): object => ({ rules: [{ when: [{ key, values }] }] });

describe("sources", () => {
  const at = "spec.rules[0].from[0].source";
  test.each<Case>([
    [{ rules: [{ from: [{}] }] }, `${at}: Required value`],
    [
      from({ serviceAccounts: ["a"], namespaces: ["b"] }),
      `${at}.namespaces: Forbidden: not together with serviceAccounts`,
    ],
    [from({ principals: [""] }), `${at}.principals[0]: Invalid value: "": must not be empty`],
    [
      from({ notIpBlocks: ["10.0.0.0/33"] }),
      `${at}.notIpBlocks[0]: Invalid value: "10.0.0.0/33": must be an IP address or a network in CIDR form, such as 10.0.0.0/8`,
    ],
    [
      from({ remoteIpBlocks: ["a"] }),
      `${at}.remoteIpBlocks[0]: Invalid value: "a": must be an IP address or a network in CIDR form, such as 10.0.0.0/8`,
    ],
    [from({ serviceAccounts: ["a*"] }), `${at}.serviceAccounts[0]: Invalid value: "a*": wildcards are not supported`],
    ...["a/b/c", "/a", "a/"].map((name): Case => [
      from({ notServiceAccounts: [name] }),
      `${at}.notServiceAccounts[0]: Invalid value: "${name}": must be a service account, or namespace/account`,
    ]),
    [
      from({ trustDomains: ["a*b"] }),
      `${at}.trustDomains[0]: Invalid value: "a*b": may have one wildcard, at its beginning or its end`,
    ],
    [
      from({ notTrustDomains: ["a/b"] }),
      `${at}.notTrustDomains[0]: Invalid value: "a/b": must be a trust domain, without '/'`,
    ],
  ])("%j", (spec, error) => {
    expect(errorsOf(spec)).toEqual([error]);
  });

  test("must say something", () => {
    for (const spec of [from({}), from({ principals: [], notNamespaces: [] })]) {
      expect(errorsOf(spec)).toEqual([
        expect.stringMatching(/source: Required value: one of principals, notPrincipals/),
      ]);
    }
  });
});

describe("operations", () => {
  const at = "spec.rules[0].to[0].operation";
  test.each<Case>([
    [{ rules: [{ to: [{}] }] }, `${at}: Required value`],
    [to({}), `${at}: Required value: one of hosts, notHosts, ports, notPorts, methods, notMethods, paths, notPaths`],
    ...["http", "65536", "-1", "1.5"].map((port): Case => [
      to({ ports: [port] }),
      `${at}.ports[0]: Invalid value: "${port}": must be a port number`,
    ]),
    [to({ notMethods: [""] }), `${at}.notMethods[0]: Invalid value: "": must not be empty`],
    ...["/a/{b}", "/{*", "/a{*}"].map((path): Case => [
      to({ paths: [path] }),
      `${at}.paths[0]: Invalid value: "${path}": may have braces only in the operators {*} and {**}, which stand alone`,
    ]),
    [to({ paths: ["/{**}/{*}"] }), `${at}.paths[0]: Invalid value: "/{**}/{*}": must have {**} as its last operator`],
    [
      to({ notPaths: ["/{*}//a"] }),
      `${at}.notPaths[0]: Invalid value: "/{*}//a": must be a template of paths, and its part "" cannot be`,
    ],
    [
      to({ notPaths: ["/{*}/a*"] }),
      `${at}.notPaths[0]: Invalid value: "/{*}/a*": must be a template of paths, and its part "a*" cannot be`,
    ],
  ])("%j", (spec, error) => {
    expect(errorsOf(spec)).toEqual([error]);
  });

  test("with a path of slashes are checked in no time", () => {
    expect(errorsOf(to({ paths: [`${"/".repeat(1_000_000)}a`, "/".repeat(1_000_000)] }))).toEqual([]);
  });
});

describe("conditions", () => {
  const at = "spec.rules[0].when[0]";
  test.each<Case>([
    [{ rules: [{ when: [{ values: ["a"] }] }] }, `${at}.key: Required value`],
    [when(""), `${at}.key: Required value`],
    [when("source.ip", []), `${at}: Required value: values or notValues`],
    [when("connection.sni", [""]), `${at}.values[0]: Invalid value: "": must not be empty`],
    [
      when("destination.ip"),
      `${at}.values[0]: Invalid value: "a": must be an IP address or a network in CIDR form, such as 10.0.0.0/8`,
    ],
    [when("destination.port"), `${at}.values[0]: Invalid value: "a": must be a port number`],
    [
      when("source.trustDomain", ["a*b"]),
      `${at}.values[0]: Invalid value: "a*b": may have one wildcard, at its beginning or its end`,
    ],
    ...["request.headers", "request.headers[]", "request.auth.claims[a", "experimental.envoy.filters.a"].map(
      (key): Case => [when(key), `${at}.key: Invalid value: "${key}": must have a key in brackets, as a[b]`],
    ),
    [
      when("destination.labels[app]"),
      `${at}.key: Invalid value: "destination.labels[app]": the policy's selector takes its place`,
    ],
    [when("destination.user"), `${at}.key: Invalid value: "destination.user": it is not supported any more`],
  ])("%j", (spec, error) => {
    expect(errorsOf(spec)).toEqual([error]);
  });

  test.each(["source.port", "constructor", "a"])("know no attribute %s", (key) => {
    expect(errorsOf(when(key))).toEqual([expect.stringContaining(`${at}.key: Unsupported value: "${key}"`)]);
  });
});

describe("actions", () => {
  const provider = { name: "opa" };
  const custom = (rule: object): object => ({ action: "CUSTOM", provider, rules: [rule] });
  const unsupported = "not supported with the action CUSTOM";
  test.each<Case>([
    ...["DENY", "CUSTOM"].flatMap((action): Case[] =>
      [
        { action, ...(action === "CUSTOM" && { provider }) },
        { action, rules: [] },
      ].map((spec): Case => [
        spec,
        `spec.rules: Required value: without rules the action ${action} is never done; add an empty rule, {}, for every request`,
      ]),
    ),
    [{ action: "CUSTOM", rules: [{}] }, "spec.provider.name: Required value"],
    [{ provider }, "spec.provider: Forbidden: only with the action CUSTOM"],
    [
      custom({ from: [{ source: { notPrincipals: ["a"] } }] }),
      `spec.rules[0].from[0].source.notPrincipals: Forbidden: ${unsupported}`,
    ],
    [
      custom({ when: [{ key: "request.auth.claims[a]", values: ["a"] }] }),
      `spec.rules[0].when[0].key: Forbidden: request.auth.claims[a] is ${unsupported}`,
    ],
  ])("%j", (spec, error) => {
    expect(errorsOf(spec)).toEqual([error]);
  });

  test("can be tried out where they allow or refuse", () => {
    const at = "metadata.annotations[istio.io/dry-run]";
    expect(errorsOf({}, { "istio.io/dry-run": "true" })).toEqual([]);
    expect(errorsOf({}, { "istio.io/dry-run": "maybe" })).toEqual([
      `${at}: Invalid value: "maybe": must be true or false`,
    ]);
    expect(errorsOf({ action: "AUDIT" }, { "istio.io/dry-run": "true" })).toEqual([
      `${at}: Forbidden: only with the actions ALLOW and DENY`,
    ]);
  });

  test.each<readonly [object, boolean]>([
    [{ to: [{ operation: { methods: ["GET"] } }] }, true],
    [{ to: [{ operation: { methods: ["GET"], ports: ["80"] } }] }, false],
    [{ from: [{ source: { requestPrincipals: ["*"] } }] }, true],
    [{ from: [{ source: { namespaces: ["a"] } }] }, false],
    [{ from: [{ source: { namespaces: ["a"] } }], to: [{ operation: { paths: ["/"] } }] }, true],
    [{}, false],
  ])("that refuse by %j: warned of other protocols: %s", (rule, warned) => {
    const warnings = warned
      ? ["spec.rules[0]: only requests of HTTP can be asked this, so all other connections are refused; name the ports"]
      : [];
    expect(admit({ action: "DENY", rules: [rule] })).toMatchObject({ errors: [], warnings });
    expect(admit({ action: "ALLOW", rules: [rule] }).warnings).toEqual([]);
  });
});
