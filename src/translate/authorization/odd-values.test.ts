/** Values that the API accepts, and that Envoy would refuse a listener for, or end itself, were they passed on as they are. */
import { expect, test } from "vitest";
import { authorizationPolicy } from "#api/istio/authorization-policy.ts";
import { requestAuthentication } from "#api/istio/request-authentication.ts";
import type { Kind } from "#api/kind.ts";
import { Validator } from "#api/validation.ts";
import { complete } from "#model/testing/objects.ts";
import { resourcesOf } from "../proxy-resources.ts";
import { emptyMesh } from "../testing/mesh.ts";
import { refusal } from "../testing/validate.ts";

const long = "x".repeat(70_000);
const values = ["*", "**", "a*b", " ", "é", "\0", "\r\n", "*\n", long, `*${long}`, "x".repeat(2000)];
const templates = [
  "{*}",
  "{**}",
  "{**}/a",
  "a/{*}",
  "//{*}",
  "//a//{**}",
  "/a/{*}//",
  "/{*}",
  "/{**}/",
  `/${long}/{*}`,
  `/${"x".repeat(300)}/{*}`,
  "/%/{*}",
  "/{*}/{*}/{*}/{*}/{*}/{*}/{*}",
];
const keys = ["request.headers", "request.auth.claims", "experimental.envoy.filters.a"];
const oddKeys = [
  "request.auth.claims[a][]",
  "request.auth.claims[][a]",
  "request.headersX[a]",
  "request.headers[:path]",
];

const rules = [
  ...templates.map((path) => ({ to: [{ operation: { paths: [path] } }] })),
  ...values.flatMap((value) => [
    ...["hosts", "methods", "paths"].map((name) => ({ to: [{ operation: { [name]: [value] } }] })),
    ...["principals", "requestPrincipals", "namespaces", "trustDomains", "serviceAccounts"].map((name) => ({
      from: [{ source: { [name]: [value] } }],
    })),
    ...["connection.sni", "source.namespace"].map((key) => ({ when: [{ key, values: [value] }] })),
    ...keys.map((key) => ({ when: [{ key: `${key}[a]`, values: [value] }] })),
    ...keys.map((key) => ({ when: [{ key: `${key}[${value}]`, notValues: ["a"] }] })),
  ]),
  ...oddKeys.map((key) => ({ when: [{ key, values: ["a"] }] })),
];

const jwtRules = values.flatMap((value) => [
  ...["issuer", "outputPayloadToHeader"].map((name) => ({ issuer: "a", [name]: value })),
  ...["audiences", "fromParams", "fromCookies", "spaceDelimitedClaims"].map((name) => ({
    issuer: "a",
    [name]: [value],
  })),
  { issuer: "a", fromHeaders: [{ name: value, prefix: value }] },
  { issuer: "a", outputClaimToHeaders: [{ header: "x", claim: value }] },
]);

const validator = new Validator();
const node = {
  id: "sidecar~10.10.0.5~client-1.shop~shop.svc.cluster.local",
  metadata: { NAMESPACE: "shop", CLUSTER_ID: "east", LABELS: {} },
  locality: { region: "", zone: "", subzone: "" },
};

test.each([
  [authorizationPolicy, "rules", rules],
  [requestAuthentication, "jwtRules", jwtRules],
] as readonly (readonly [Kind, string, readonly object[]])[])(
  "$kind with odd values is taken by Envoy",
  async (kind, list, all) => {
    const object = (items: readonly object[]) =>
      complete({
        apiVersion: "security.istio.io/v1",
        kind: kind.kind,
        metadata: { name: "a", namespace: "shop" },
        spec: { [list]: items },
      });
    const accepted = all.filter((item) => validator.admit(kind, object([item])).errors.length === 0);
    expect(accepted.length).toBeGreaterThan(all.length * 0.8);
    const mesh = emptyMesh();
    mesh.model.inputs.put(object(accepted));
    expect(await refusal(resourcesOf(mesh.translator, node))).toBe("");
  },
);
