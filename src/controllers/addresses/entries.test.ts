import fc from "fast-check";
import { expect, test } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { freeAddress, poolSize } from "./pool.ts";
import { addressedEntry } from "./entries.ts";

function entry(spec: object, labels: Readonly<Record<string, string>> = {}): Parameters<typeof addressedEntry>[0] {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: {
      namespace: "shop",
      name: "x",
      uid: "u",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels,
    },
    spec,
  };
}

test.each([
  ["resolved hosts", { hosts: ["a.com", "b.com", "a.com"], resolution: "DNS" }, {}, ["a.com", "b.com"]],
  ["static endpoints", { hosts: ["a.com"], resolution: "STATIC" }, {}, ["a.com"]],
  ["no resolution", { hosts: ["a.com"] }, {}, []],
  ["addresses of the user's own", { hosts: ["a.com"], resolution: "DNS", addresses: ["1.2.3.4"] }, {}, []],
  ["a wildcard", { hosts: ["*.a.com"], resolution: "STATIC" }, {}, []],
  ["a wildcard that is resolved as it is called", { hosts: ["*.a.com"], resolution: "DYNAMIC_DNS" }, {}, ["*.a.com"]],
  [
    "a label that says no",
    { hosts: ["a.com"], resolution: "DNS" },
    { "networking.istio.io/enable-autoallocate-ip": "False" },
    [],
  ],
])("hosts that get an address: %s", (_name, spec, labels, hosts) => {
  expect(addressedEntry(entry(spec, labels)).hosts).toEqual(hosts);
});

test("owners get different addresses of the range, each the same again", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 200 }), (owners) => {
      const given = new Map<string, string>();
      for (const owner of owners) {
        const address = freeAddress(owner, (each) => given.has(each))!;
        expect(address).toMatch(/^240\.240\.\d+\.\d+$/);
        given.set(address, owner);
      }
      expect(given.size).toBe(owners.length);
      for (const owner of owners) {
        expect(freeAddress(owner, () => false)).toBe(freeAddress(owner, () => false));
      }
    }),
    { numRuns: runs(20) },
  );
});

test("neither the first nor the last address is given, and a full range has none", () => {
  const asked = new Set<string>();
  expect(freeAddress("x", (address) => asked.add(address).size > 0)).toBeUndefined();
  expect(asked.size).toBe(poolSize);
  expect(asked).not.toContain("240.240.0.0");
  expect(asked).not.toContain("240.240.255.255");
});
