import { describe, expect, test } from "vitest";
import { kindOf } from "../kinds.ts";
import { type Case, errorLines, submit } from "../testing/submit.ts";
import type { Admission } from "../validation.ts";
import { gatewayApiGroup } from "./names.ts";

const admit = (kind: string, spec: object): Admission => submit(kindOf(gatewayApiGroup, kind), { spec });
const errorsOf = (kind: string, spec: object): readonly string[] => errorLines(admit(kind, spec));

const backend = { name: "a", port: 80 };
const rule = (one: object): object => ({ rules: [one] });

describe("parents", () => {
  const parent = { name: "a" };
  test.each<Case>([
    [{ parentRefs: [parent, parent] }, 'spec.parentRefs[1].sectionName: Duplicate value: ""'],
    [
      { parentRefs: [parent, { ...parent, sectionName: "b" }] },
      "spec.parentRefs[1].sectionName: Required value: where a parent is named twice",
    ],
    // Ports tell parents apart in the experimental channel only.
    [
      { parentRefs: [80, 81].map((port) => ({ ...parent, port })) },
      'spec.parentRefs[1].sectionName: Duplicate value: ""',
    ],
    [{ parentRefs: [{}] }, "spec.parentRefs[0].name: Required value"],
  ])("%j", (spec, error) => {
    expect(errorsOf("HTTPRoute", spec)).toEqual([error]);
  });

  test("two listeners of one Gateway are two parents", () => {
    const parentRefs = ["a", "b"].map((sectionName) => ({ ...parent, sectionName }));
    expect(errorsOf("HTTPRoute", { parentRefs })).toEqual([]);
  });
});

describe("HTTPRoute", () => {
  const redirect = (requestRedirect: object): object => ({ type: "RequestRedirect", requestRedirect });
  const rewrite = (path: object): object => ({ type: "URLRewrite", urlRewrite: { path } });
  const prefix = rewrite({ type: "ReplacePrefixMatch", replacePrefixMatch: "/a" });
  const cors = (cors: object): object => ({ type: "CORS", cors });
  const exact = (value: string): object => ({ matches: [{ path: { type: "Exact", value } }] });
  const at = "spec.rules[0]";
  const cases: readonly Case[] = [
    ...(
      [
        ["a", "must begin with '/'"],
        ["/a//b", "must not contain //"],
        ["/a/../b", "must not contain /../"],
        ["/a%2Fb", "must not contain %2F"],
        ["/a/..", "must not end with '/.' or '/..'"],
        ["/ä", "has characters that a path cannot have"],
      ] as const
    ).map(([value, problem]): Case => [
      exact(value),
      `matches[0].path.value: Invalid value: ${JSON.stringify(value)}: ${problem}`,
    ]),
    [
      { matches: [{ headers: ["b", "b"].map((name) => ({ name, value: "a" })) }] },
      'matches[0].headers[1].name: Duplicate value: "b"',
    ],
    [{ filters: [{ type: "CORS" }] }, "filters[0].cors: Required value: for the type CORS"],
    [{ filters: [{ ...redirect({}), cors: {} }] }, "filters[0].cors: Forbidden: only with the type CORS"],
    [{ filters: [cors({}), cors({})] }, 'filters[1].type: Duplicate value: "CORS"'],
    [
      { filters: [redirect({}), rewrite({ type: "ReplaceFullPath", replaceFullPath: "/" })] },
      "filters: Forbidden: RequestRedirect and URLRewrite cannot be used together",
    ],
    [
      { filters: [redirect({ statusCode: 304 })] },
      'filters[0].requestRedirect.statusCode: Unsupported value: 304: supported values: "301", "302", "303", "307", "308"',
    ],
    [{ filters: [rewrite({ type: "ReplaceFullPath" })] }, "filters[0].urlRewrite.path.replaceFullPath: Required value"],
    [
      { filters: [cors({ allowOrigins: ["*", "http://a"] })] },
      'filters[0].cors.allowOrigins: Invalid value: ["*","http://a"]: must have no other entry where * is one',
    ],
    [
      { filters: [{ type: "RequestMirror", requestMirror: { backendRef: { name: "a" } } }] },
      "filters[0].requestMirror.backendRef.port: Required value: for a Service",
    ],
    [
      {
        filters: [
          { type: "RequestMirror", requestMirror: { backendRef: backend, fraction: { numerator: 3, denominator: 2 } } },
        ],
      },
      "filters[0].requestMirror.fraction.numerator: Invalid value: 3: must not be more than the denominator",
    ],
    [
      { ...exact("/a"), filters: [prefix] },
      "matches: Required value: one match, of a PathPrefix, where it is replaced",
    ],
    [
      { ...exact("/a"), backendRefs: [{ ...backend, filters: [prefix] }] },
      "matches: Required value: one match, of a PathPrefix, where it is replaced",
    ],
    [
      { filters: [redirect({})], backendRefs: [backend] },
      "backendRefs: Forbidden: not together with a RequestRedirect",
    ],
    [{ backendRefs: [{ name: "a" }] }, "backendRefs[0].port: Required value: for a Service"],
    [
      { timeouts: { request: "1s", backendRequest: "2s" } },
      'timeouts.backendRequest: Invalid value: "2s": must not be longer than request',
    ],
    [
      { timeouts: { request: "1.5s" } },
      'timeouts.request: Invalid value: "1.5s": must be a duration of the Gateway API: one to four numbers of at most five digits with h, m, s or ms, such as 1h30m',
    ],
  ];
  test.each(cases)("%j", (one, error) => {
    expect(errorsOf("HTTPRoute", rule(one))).toEqual([`${at}.${error}`]);
  });

  test("is for all requests unless it says which", () => {
    const anyPath = [{ path: { type: "PathPrefix", value: "/" } }];
    expect(admit("HTTPRoute", {}).object).toMatchObject({ spec: { rules: [{ matches: anyPath }] } });
    expect(admit("HTTPRoute", rule({ matches: [{ method: "GET" }] })).object).toMatchObject({
      spec: { rules: [{ matches: [{ ...anyPath[0], method: "GET" }] }] },
    });
  });

  test("may have 128 matches in all", () => {
    const rules = (count: number): object => ({
      rules: [64, 64, count].map((length) => ({ matches: Array.from({ length }, () => ({})) })),
    });
    expect(errorsOf("HTTPRoute", rules(0))).toEqual([]);
    expect(errorsOf("HTTPRoute", rules(1))).toEqual([
      "spec.rules: Invalid value: 129: must have 128 matches or fewer in all",
    ]);
  });
});

describe("GRPCRoute", () => {
  const matching = (match: object): object => rule({ matches: [match] });
  const at = "spec.rules[0].matches[0].method";
  test.each<Case>([
    [matching({ method: {} }), `${at}: Required value: service or method`],
    [
      matching({ method: { service: "a-b" } }),
      `${at}.service: Invalid value: "a-b": must be the name of a service, such as bookshop.v1.Ratings`,
    ],
    [matching({ method: { method: "1" } }), `${at}.method: Invalid value: "1": must be the name of a method`],
    [
      rule({ filters: [{ type: "URLRewrite" }] }),
      'spec.rules[0].filters[0].type: Unsupported value: "URLRewrite": supported values: "ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"',
    ],
    [rule({ backendRefs: [{ name: "a" }] }), "spec.rules[0].backendRefs[0].port: Required value: for a Service"],
  ])("%j", (spec, error) => {
    expect(errorsOf("GRPCRoute", spec)).toEqual([error]);
  });
});

describe("routes of connections", () => {
  test.each(["TCPRoute", "UDPRoute"])("%s needs a rule with a backend", (kind) => {
    expect(errorsOf(kind, {})).toEqual(["spec.rules: Required value"]);
    expect(errorsOf(kind, rule({ backendRefs: [{ name: "a" }] }))).toEqual([
      "spec.rules[0].backendRefs[0].port: Required value: for a Service",
    ]);
  });

  test("TLSRoute is for names, not for addresses", () => {
    const rules = [{ backendRefs: [backend] }];
    expect(errorsOf("TLSRoute", { hostnames: ["10.1.2.3"], rules })).toEqual([
      'spec.hostnames[0]: Invalid value: "10.1.2.3": must not be an IP address',
    ]);
    expect(errorsOf("TLSRoute", { rules })).toEqual(["spec.hostnames: Required value"]);
  });
});
