import { expect, test } from "vitest";
import { Validator } from "#api/validation.ts";
import { readProxyConfig } from "./mesh-config.ts";
import { mergeProxyConfig } from "./proxy-config.ts";

test("settings go before others member by member; variables and some headers are put together", () => {
  const base = {
    concurrency: 2,
    serviceCluster: "base",
    proxyMetadata: { A: "1", B: "1" },
    proxyStatsMatcher: { inclusionPrefixes: ["a"] },
    proxyHeaders: { server: { value: "base" }, preserveHttp1HeaderCase: true },
  } as const;
  const over = {
    tracingServiceName: "CANONICAL_NAME_ONLY",
    proxyMetadata: { B: "2" },
    proxyStatsMatcher: { inclusionSuffixes: ["b"] },
    proxyHeaders: { requestId: { disabled: true } },
  } as const;
  expect(mergeProxyConfig(base, over)).toEqual({
    concurrency: 2,
    tracingServiceName: "CANONICAL_NAME_ONLY",
    proxyMetadata: { A: "1", B: "2" },
    proxyStatsMatcher: { inclusionSuffixes: ["b"] },
    proxyHeaders: { server: { value: "base" }, requestId: { disabled: true } },
  });
  expect(mergeProxyConfig(base, undefined)).toEqual(base);
});

test.each([
  ["concurrency: 3", { concurrency: 3 }],
  [
    "proxy_headers: { request_id: { disabled: true } }\nnew_member: 1",
    { proxyHeaders: { requestId: { disabled: true } } },
  ],
  ["", {}],
  ["concurrency: many", undefined],
  ["connectionSettings: { httpIdleTimeout: -1s }", undefined],
  ["[", undefined],
  ["text", undefined],
])("%j as an annotation", (text, config) => expect(readProxyConfig(text, new Validator())).toEqual(config));
