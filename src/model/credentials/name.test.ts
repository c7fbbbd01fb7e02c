import { describe, expect, it } from "vitest";
import {
  authoritiesResource,
  certificateResource,
  clientAuthoritiesResource,
  mayRead,
  meshSecret,
  parseCredential,
} from "./name.ts";

describe("names of credentials", () => {
  it.each([
    ["shop", "kubernetes://shop", "kubernetes://shop-cacert"],
    ["kubernetes://a/shop", "kubernetes://a/shop", "kubernetes://a/shop-cacert"],
    ["kubernetes-gateway://a/shop", "kubernetes-gateway://a/shop", "kubernetes-gateway://a/shop-cacert"],
    ["configmap://a/shop", "configmap://a/shop", "configmap://a/shop-cacert"],
    ["sds://shop", "kubernetes://shop", "kubernetes://shop-cacert"],
    ["invalid://x", "invalid://", "invalid://"],
    ["builtin://", "builtin://", "builtin://-cacert"],
  ])("%s is asked for as %s, its authorities as %s", (written, certificate, authorities) => {
    expect([certificateResource(written), authoritiesResource(written)]).toEqual([certificate, authorities]);
  });

  it.each([
    ["clients", "kubernetes://clients-cacert"],
    ["clients-cacert", "kubernetes://clients-cacert"],
    ["configmap://a/clients", "configmap://a/clients"],
    ["builtin://", "builtin://-cacert"],
    ["builtin://-cacert", "builtin://-cacert"],
  ])("client authorities %s are asked for as %s", (written, resource) => {
    expect(clientAuthoritiesResource(written)).toBe(resource);
  });

  it.each([
    ["kubernetes://a", { kind: "Secret", namespace: "edge", name: "a", wanted: "certificate", ofMesh: false }],
    [
      "kubernetes://a-cacert",
      { kind: "Secret", namespace: "edge", name: "a-cacert", wanted: "authorities", ofMesh: false },
    ],
    ["kubernetes://b/a", { kind: "Secret", namespace: "b", name: "a", wanted: "certificate", ofMesh: false }],
    ["kubernetes-gateway://b/a", { kind: "Secret", namespace: "b", name: "a", wanted: "certificate", ofMesh: true }],
    ["configmap://b/a", { kind: "ConfigMap", namespace: "b", name: "a", wanted: "authorities", ofMesh: true }],
  ])("%s is %o", (resource, place) => {
    expect(parseCredential(resource, "edge")).toEqual(place);
  });

  it.each([
    "",
    "a",
    "default",
    "ROOTCA",
    "invalid://",
    "builtin://",
    "kubernetes://",
    "kubernetes:///a",
    "kubernetes://a/",
    "kubernetes-gateway://a",
    "configmap://a",
  ])("%j is none", (resource) => {
    expect(parseCredential(resource, "edge")).toBeUndefined();
  });

  it("what the mesh gives every workload is the agent's to serve, under its own names", () => {
    const resources = ["builtin://", "builtin://-cacert", "builtin://other", "kubernetes://builtin", "default"];
    expect(resources.map(meshSecret)).toEqual(["default", "ROOTCA", undefined, undefined, undefined]);
  });

  it("Secrets are for proxies of their own namespace, authorities of ConfigMaps for all", () => {
    const allowed = (resource: string): boolean | undefined => {
      const place = parseCredential(resource, "edge");
      return place && mayRead(place, "edge");
    };
    expect(["kubernetes://a", "kubernetes://edge/a", "kubernetes://shop/a", "configmap://shop/a"].map(allowed)).toEqual(
      [true, true, false, true],
    );
  });

  const gateways = { group: "gateway.networking.k8s.io", kind: "Gateway", namespace: "edge" };
  const secrets = { group: "", kind: "Secret" };
  it.each([
    ["kubernetes-gateway://shop/a", [gateways], [secrets], true],
    ["kubernetes-gateway://shop/a", [gateways], [{ ...secrets, name: "a" }], true],
    ["kubernetes-gateway://shop/a-cacert", [gateways], [{ ...secrets, name: "a" }], true],
    ["kubernetes-gateway://shop/a", [gateways], [{ ...secrets, name: "b" }], false],
    ["kubernetes-gateway://shop/a", [gateways], [{ ...secrets, kind: "ConfigMap" }], false],
    ["kubernetes-gateway://shop/a", [{ ...gateways, namespace: "bank" }], [secrets], false],
    ["kubernetes-gateway://shop/a", [{ ...gateways, kind: "HTTPRoute" }], [secrets], false],
    ["kubernetes-gateway://shop/a", [{ ...gateways, group: "networking.istio.io" }], [secrets], false],
    // Istio's own names mean the proxy's namespace, whoever grants what.
    ["kubernetes://shop/a", [gateways], [secrets], false],
  ])("%s with a grant from %o to %o: %o", (resource, from, to, expected) => {
    const place = parseCredential(resource, "edge");
    expect(place && mayRead(place, "edge", [{ spec: { from, to } }])).toBe(expected);
  });
});
