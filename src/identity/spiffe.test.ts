import { expect, test } from "vitest";
import { isOwn, parseSpiffeId, spiffeId } from "./spiffe.ts";

const reviews = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "reviews" };

test("identities have Istio's form, both ways", () => {
  expect(spiffeId(reviews)).toBe("spiffe://cluster.local/ns/shop/sa/reviews");
  expect(parseSpiffeId("spiffe://cluster.local/ns/shop/sa/reviews")).toEqual(reviews);
  expect(parseSpiffeId("spiffe://td/ns/shop/sa/a.b-c")).toMatchObject({ serviceAccount: "a.b-c" });
});

test("an @ in a trust domain is a dot, as in Istio", () => {
  expect(spiffeId({ ...reviews, trustDomain: "a@example.com" })).toBe("spiffe://a.example.com/ns/shop/sa/reviews");
});

test.each([
  "",
  "reviews",
  "spiffe://cluster.local",
  "spiffe://cluster.local/ns/shop/sa/",
  "spiffe://cluster.local/ns//sa/reviews",
  "spiffe:///ns/shop/sa/reviews",
  "spiffe://cluster.local/sa/reviews/ns/shop",
  "spiffe://cluster.local/ns/shop/sa/reviews/x",
  "spiffe://cluster.local/ns/shop/sa/reviews?x=1",
  "spiffe://cluster.local/ns/shop/sa/reviews\n",
  "spiffe://cluster.local/ns/shop/sa/..",
  "spiffe://Cluster.Local/ns/shop/sa/reviews",
  "spiffe://cluster.local:80/ns/shop/sa/reviews",
  "SPIFFE://cluster.local/ns/shop/sa/reviews",
  "spiffe://cluster.local/ns/shop/sa/reviews,spiffe://cluster.local/ns/shop/sa/page",
  `spiffe://cluster.local/ns/${"a".repeat(64)}/sa/reviews`,
])("%j is no identity", (text) => expect(parseSpiffeId(text)).toBeUndefined());

test("aliases of the trust domain are the mesh's own", () => {
  const domains = { own: "new@mesh", aliases: ["old.mesh"] };
  expect(isOwn({ ...reviews, trustDomain: "new.mesh" }, domains)).toBe(true);
  expect(isOwn({ ...reviews, trustDomain: "old.mesh" }, domains)).toBe(true);
  expect(isOwn({ ...reviews, trustDomain: "other.mesh" }, domains)).toBe(false);
});
