import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { ConfigPatch } from "#api/istio/envoy-filter.ts";
import { loadRegistry } from "#proto/registry.ts";
import { readPatch } from "./read.ts";

const registry = loadRegistry();
const lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";

function problems(yaml: string): readonly string[] {
  const read = readPatch(parse(yaml) as ConfigPatch, "p", registry);
  return read.problems.map(({ code, field }) => `${code} ${field}${read.patch ? "" : ", left out"}`);
}

describe("reading a patch", () => {
  it.each([
    ["{ applyTo: CLUSTER, patch: { operation: MERGE, value: { connect_timeout: 1s, lbPolicy: RANDOM } } }", []],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { circuit_breakers: { thresholds: [{}, { max_requests: -1 }] } } } }",
      ["InvalidPatch p.patch.value.circuit_breakers.thresholds[1].max_requests, left out"],
    ],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { lb_policy: BEST } } }",
      ["UnknownField p.patch.value.lb_policy"],
    ],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { lb_policy: 99 } } }",
      ["InvalidPatch p.patch.value.lb_policy, left out"],
    ],
    ["{ applyTo: CLUSTER, patch: { operation: REMOVE } }", []],
    ["{ applyTo: CLUSTER, patch: { operation: INSERT_FIRST, value: { name: a } } }", []],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { connect_timeout: soon } } }",
      ["InvalidPatch p.patch.value.connect_timeout, left out"],
    ],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { type: NOTHING, connect_timeout: [] } } }",
      ["InvalidPatch p.patch.value.connect_timeout, left out"],
    ],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { circuit_breakers: { thresholds: [{ most: 1 }] }, metadata: { filter_metadata: { a: { any: 1 } } } } } }",
      ["UnknownField p.patch.value.circuit_breakers.thresholds[0].most"],
    ],
    [
      `{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: { name: a, typed_config: { "@type": ${lua}, code: x } } } }`,
      ["UnknownField p.patch.value.typed_config.code"],
    ],
    [
      `{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: { name: a, typed_config: { "@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: ${lua}, value: { code: x } } } } }`,
      ["UnknownField p.patch.value.typed_config.code"],
    ],
    [
      `{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: { name: a, typed_config: { "@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: example.com/their.own.Filter, value: { code: x } } } } }`,
      [],
    ],
    [
      `{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: { name: a, typed_config: { "@type": example.com/no.Such } } } }`,
      ["InvalidPatch p.patch.value.typed_config, left out"],
    ],
    [
      "{ applyTo: HTTP_FILTER, patch: { operation: ADD, filterClass: AUTHZ, value: { name: a } } }",
      ["NoEffect p.patch.filterClass"],
    ],
    ["{ applyTo: LISTENER, patch: { operation: ADD, value: {} } }", ["InvalidPatch p.patch.value.name, left out"]],
    ["{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: {} } }", ["InvalidPatch p.patch.value.name, left out"]],
    [
      "{ applyTo: CLUSTER, patch: { operation: MERGE, value: { connect_timeout: 0s, dns_refresh_rate: 0.001s } } }",
      ["InvalidPatch p.patch.value.connect_timeout, left out", "InvalidPatch p.patch.value.dns_refresh_rate, left out"],
    ],
    [
      "{ applyTo: HTTP_ROUTE, patch: { operation: ADD, value: { route: { cluster: a } } } }",
      ["InvalidPatch p.patch.value.match, left out"],
    ],
    ["{ applyTo: HTTP_ROUTE, patch: { operation: MERGE, value: { route: { timeout: 1s } } } }", []],
    [
      "{ applyTo: HTTP_ROUTE, patch: { operation: ADD, value: { match: { prefix: / }, direct_response: {} } } }",
      ["InvalidPatch p.patch.value.direct_response.status, left out"],
    ],
    [
      `{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: { name: a, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer } } } }`,
      ["InvalidPatch p.patch.value.typed_config.max_request_bytes, left out"],
    ],
    ["{ applyTo: BOOTSTRAP, patch: { operation: MERGE, value: {} } }", []],
    ["{ applyTo: BOOTSTRAP, patch: { operation: ADD, value: {} } }", ["NoEffect p.patch.operation, left out"]],
    [
      "{ applyTo: HTTP_FILTER, match: { context: WAYPOINT, waypoint: {} }, patch: { operation: ADD, value: { name: a } } }",
      ["NotImplemented p.match.context, left out"],
    ],
    [
      "{ applyTo: ROUTE_CONFIGURATION, patch: { operation: ADD, value: { name: a } } }",
      ["NoEffect p.patch.operation, left out"],
    ],
    [
      "{ applyTo: HTTP_FILTER, match: { listener: {} }, patch: { operation: REMOVE } }",
      ["NoEffect p.match.listener.filterChain.filter.subFilter, left out"],
    ],
    [
      "{ applyTo: CLUSTER, match: { proxy: { metadata: { NAME: a } } }, patch: { operation: REMOVE } }",
      ["NotImplemented p.match.proxy.metadata"],
    ],
  ])("%s", (yaml, found) => {
    expect(problems(yaml)).toEqual(found);
  });
});
