import { describe, expect, test } from "vitest";
import { modelOf } from "./testing/objects.ts";

const older = "2026-01-01T00:00:00Z";
const younger = "2026-01-02T00:00:00Z";

function rule(name: string, namespace: string, spec: string, created = older): string {
  return `
---
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: ${spec}`;
}

const host = "reviews.shop.svc.cluster.local";

function forMesh(text: string, namespace: string): readonly string[] {
  const found = modelOf(text).virtualServices.meshHosts.get({ namespace, sidecar: "" });
  return found.find((each) => each.host === host)?.virtualServices ?? [];
}

describe("of several VirtualServices for a host", () => {
  test("those of the caller's own namespace that are not for all go first, whoever else gets them", () => {
    const text =
      rule("private", "shop", "{ hosts: [reviews], exportTo: [.] }", younger) +
      rule("shared", "shop", "{ hosts: [reviews], exportTo: [., bank] }") +
      rule("public", "shop", "{ hosts: [reviews] }");
    expect(forMesh(text, "shop")).toEqual(["shop/shared", "shop/private", "shop/public"]);
    expect(forMesh(text, "bank")).toEqual(["shop/shared", "shop/public"]);
  });

  test("those for the caller's namespace among others go before those for all", () => {
    const text =
      rule("public", "shop", "{ hosts: [reviews] }") +
      rule("named", "shop", "{ hosts: [reviews], exportTo: [bank] }", younger) +
      rule("own", "bank", `{ hosts: [${host}], exportTo: [.] }`, younger);
    expect(forMesh(text, "bank")).toEqual(["bank/own", "shop/named", "shop/public"]);
  });

  test("made in the same second, names decide, then namespaces", () => {
    const text = rule("b", "bank", `{ hosts: [${host}] }`) + rule("a", "shop", "{ hosts: [reviews] }");
    expect(forMesh(text, "other")).toEqual(["shop/a", "bank/b"]);
    const same = rule("a", "shop", "{ hosts: [reviews] }") + rule("a", "bank", `{ hosts: [${host}] }`);
    expect(forMesh(same, "other")).toEqual(["bank/a", "shop/a"]);
  });
});

describe("a Sidecar that lets in one of a VirtualService's hosts", () => {
  const sidecar = `
kind: Sidecar
metadata: { name: some, namespace: shop }
spec: { egress: [{ hosts: ["./${host}"] }] }
---
kind: Service
metadata: { name: target, namespace: bank }
spec: { clusterIP: 10.110.0.9, ports: [{ name: http, port: 80 }] }`;
  const client = { namespace: "shop", sidecar: "shop/some" };

  test("lets in all of them", () => {
    const model = modelOf(sidecar + rule("both", "shop", "{ hosts: [reviews, www.example.com] }"));
    expect(model.virtualServices.meshHosts.get(client).map((each) => each.host)).toEqual([host, "www.example.com"]);
  });

  test("lets in the services that its delegates send to", () => {
    const text =
      rule("root", "shop", "{ hosts: [reviews], http: [{ delegate: { name: leaf, namespace: bank } }] }") +
      rule("leaf", "bank", "{ http: [{ route: [{ destination: { host: target } }] }] }");
    expect(modelOf(sidecar + text).clients.services.get(client)).toEqual(["bank/target.bank.svc.cluster.local"]);
  });
});
