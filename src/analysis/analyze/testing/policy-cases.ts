import { meshConfig } from "./other-cases.ts";
import { all, type Case, core, deployment, networking, security } from "./written.ts";

const tokens = (key: string): string => `{ jwtRules: [{ issuer: a, jwks: "${key}" }] }`;

const authorizers = meshConfig(
  "extensionProviders: [{ name: guard, envoyExtAuthzHttp: { service: reviews.shop.svc.cluster.local, port: 9080 } }]",
);

/** Mistakes in policies of security that the control plane tells of. */
export const policyCases: readonly Case[] = [
  {
    code: "UnusableKeys",
    bad: security("RequestAuthentication", "x", tokens('{\\"kty\\":\\"RSA\\",\\"n\\":\\"AQ\\",\\"e\\":\\"AQAB\\"}')),
    at: "RequestAuthentication x: spec.jwtRules[0].jwks",
    good: security(
      "RequestAuthentication",
      "x",
      tokens('{\\"kty\\":\\"OKP\\",\\"crv\\":\\"Ed25519\\",\\"x\\":\\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\\"}'),
    ),
  },
  {
    code: "UnusableProvider",
    bad: all(
      authorizers,
      security("AuthorizationPolicy", "x", "{ action: CUSTOM, provider: { name: nobody }, rules: [{}] }"),
    ),
    at: "AuthorizationPolicy x: spec.provider.name",
    good: all(
      authorizers,
      security("AuthorizationPolicy", "x", "{ action: CUSTOM, provider: { name: guard }, rules: [{}] }"),
    ),
  },
  {
    code: "ConnectionsNotAsked",
    bad: all(
      authorizers,
      core("Service", "cache", "{ selector: { app: cache }, ports: [{ name: tcp, port: 6380 }] }"),
      deployment("cache", "app: cache"),
      security("AuthorizationPolicy", "x", "{ action: CUSTOM, provider: { name: guard }, rules: [{}] }"),
    ),
    at: "AuthorizationPolicy x: spec.provider.name",
    good: all(
      authorizers,
      core("Service", "cache", "{ selector: { app: cache }, ports: [{ name: tcp, port: 6380 }] }"),
      deployment("cache", "app: cache"),
      security(
        "AuthorizationPolicy",
        "x",
        "{ action: CUSTOM, provider: { name: guard }, rules: [{ to: [{ operation: { methods: [GET] } }] }] }",
      ),
    ),
  },
  {
    code: "ConnectionsNotAsked",
    title: "at a Gateway",
    beside: ["IST0162"],
    bad: all(
      authorizers,
      networking(
        "Gateway",
        "bytes",
        "{ selector: { istio: edge }, servers: [{ port: { number: 6380, name: tcp, protocol: TCP }, hosts: ['*'] }] }",
      ),
      security(
        "AuthorizationPolicy",
        "x",
        "{ selector: { matchLabels: { istio: edge } }, action: CUSTOM, provider: { name: guard }, rules: [{}] }",
      ),
    ),
    at: "AuthorizationPolicy x: spec.provider.name",
    good: all(
      authorizers,
      security(
        "AuthorizationPolicy",
        "x",
        "{ selector: { matchLabels: { istio: edge } }, action: CUSTOM, provider: { name: guard }, rules: [{}] }",
      ),
    ),
  },
  {
    code: "IST0101",
    title: "target of a policy",
    bad: security("AuthorizationPolicy", "x", '{ targetRefs: [{ kind: Service, group: "", name: nobody }] }'),
    at: "AuthorizationPolicy x: spec.targetRefs[0]",
    good: security("AuthorizationPolicy", "x", '{ targetRefs: [{ kind: Service, group: "", name: reviews }] }'),
  },
];
