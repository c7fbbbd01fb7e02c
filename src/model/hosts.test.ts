import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostMatches } from "#api/istio/hosts.ts";
import { compareHosts, parseServiceHost, resolveHost, serviceHost } from "./hosts.ts";

describe("host names", () => {
  it.each([
    ["reviews", "reviews.shop.svc.cluster.local"],
    ["reviews.bank", "reviews.bank"],
    ["reviews.bank.svc.cluster.local", "reviews.bank.svc.cluster.local"],
    ["*", "*"],
    ["*.example.com", "*.example.com"],
    ["::1", "::1"],
  ])("%s written in namespace shop is %s", (written, full) => {
    expect(resolveHost(written, "shop")).toBe(full);
  });

  it.each([
    ["*", "a.b", true],
    ["*.b", "a.b", true],
    ["*.b", "b", false],
    ["*.b", "*.a.b", true],
    ["*.a.b", "*.b", false],
    ["a.b", "a.b", true],
    ["a.b", "*.b", false],
  ])("%s takes %s: %s", (pattern, host, expected) => {
    expect(hostMatches(pattern, host)).toBe(expected);
  });

  it("of services are read back", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[a-z]{1,8}$/), (name, namespace) => {
        expect(parseServiceHost(serviceHost(name, namespace))).toEqual({ name, namespace });
      }),
    );
    expect(parseServiceHost("www.example.com")).toBeUndefined();
  });

  it("sort from the most specific", () => {
    const sorted = ["*", "b.c", "*.c", "a.c", "*.b.c"].toSorted(compareHosts);
    expect(sorted).toEqual(["a.c", "b.c", "*.b.c", "*.c", "*"]);
  });
});
