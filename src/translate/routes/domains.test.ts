import { expect, test } from "vitest";
import { namedService } from "./domains.ts";

const reviews = {
  host: "reviews.shop.svc.cluster.local",
  aliases: [],
  addresses: ["10.110.0.7"],
  headless: false,
};

function spelled(names: Parameters<typeof namedService>[0], namespace: string): readonly string[] {
  const { domains, domainsAtHome } = namedService(names, false);
  return (domainsAtHome.get(namespace) ?? domains).map(({ domain }) => domain);
}

test("a service of the caller's namespace goes by its bare name too", () => {
  expect(spelled(reviews, "shop")).toEqual([
    "reviews.shop.svc.cluster.local",
    "reviews.shop.svc.cluster.local.",
    "reviews",
    "reviews.shop.svc",
    "reviews.shop",
    "10.110.0.7",
  ]);
});

test("a service of another namespace does not", () => {
  expect(spelled(reviews, "bank")).not.toContain("reviews");
  expect(spelled(reviews, "bank")).toContain("reviews.shop");
});

test("a name below a service's has no bare name, but those with the namespace", () => {
  expect(spelled({ ...reviews, host: "reviews-0.reviews.shop.svc.cluster.local", addresses: [] }, "shop")).toEqual([
    "reviews-0.reviews.shop.svc.cluster.local",
    "reviews-0.reviews.shop.svc.cluster.local.",
    "reviews-0.reviews.shop.svc",
    "reviews-0.reviews.shop",
  ]);
});

test("a wildcard never stands for every host", () => {
  expect(spelled({ ...reviews, host: "*.shop.svc.cluster.local", addresses: [] }, "shop")).toEqual([
    "*.shop.svc.cluster.local",
    "*.shop.svc.cluster.local.",
    "*.shop.svc",
    "*.shop",
  ]);
});

test("a host outside Kubernetes has no short names", () => {
  expect(spelled({ ...reviews, host: "api.example.com", addresses: [] }, "shop")).toEqual([
    "api.example.com",
    "api.example.com.",
  ]);
});

test("an address is no name with a final dot, and IPv6 stands in brackets as in a Host header", () => {
  expect(spelled({ ...reviews, host: "fd00::7", addresses: [] }, "shop")).toEqual(["[fd00::7]"]);
});

test("a headless service's Pods have names below each of its own", () => {
  const names = spelled({ ...reviews, headless: true, addresses: [] }, "shop");
  expect(names).toContain("*.reviews");
  expect(names).toContain("*.reviews.shop.svc.cluster.local");
});
