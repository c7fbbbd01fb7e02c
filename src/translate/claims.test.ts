import { expect, test } from "vitest";
import { claimant, domainsOf, parseAsk } from "./claims.ts";

test.each([
  ["80/reviews", { port: 80, host: "reviews", valid: true }],
  ["9080/Reviews.Shop:9080", { port: 9080, host: "reviews.shop", valid: true }],
  ["80/reviews.shop.svc.cluster.local.", { port: 80, host: "reviews.shop.svc.cluster.local.", valid: true }],
  ["80/[2001:db8::1]:80", { port: 80, host: "[2001:db8::1]", valid: true }],
  ["80/10.0.0.1", { port: 80, host: "10.0.0.1", valid: true }],
  ["80/*", { port: 80, host: "*", valid: false }],
  ["80/*.example.com", { port: 80, host: "*.example.com", valid: false }],
  ["80/a/b", { port: 80, host: "a/b", valid: false }],
  ["80/", { port: 80, host: "", valid: false }],
  [`80/${"a".repeat(300)}`, { port: 80, host: "a".repeat(300), valid: false }],
  ["reviews.shop:80/reviews", undefined],
  ["http_proxy/reviews", undefined],
  ["80", undefined],
])("Envoy asks for %s", (name, ask) => {
  expect(parseAsk(name)).toEqual(ask);
});

test.each([
  ["a.example.com", "exact"],
  ["b.example.com", "narrow"],
  ["b.c.example.com", "narrow"],
  ["example.com", "wide"],
  ["example.org", undefined],
  ["d.eu-example.com", "wide"],
])("%s is for %s", (name, host) => {
  const domains = domainsOf([
    { name: "1", host: "wide", domains: ["*xample.com"] },
    { name: "2", host: "narrow", domains: ["*.example.com"] },
    { name: "3", host: "exact", domains: ["a.example.com", "a"] },
  ]);
  expect(claimant(domains, name)).toBe(host);
});
