import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { choice, definition, list, object, string, type Value } from "../schema.ts";
import { authorizationPolicyWarnings, validateAuthorizationPolicy } from "./authorization-policy-validation.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import { policyTargetsWithOne } from "./policy.ts";
import type { IstioStatus } from "./status.ts";

/** A list of texts that may begin or end with a wildcard. */
const texts = (description: string, item: string) => list(description, string(item));

const accounts = (description: string) =>
  list(description, string("A service account: name, or namespace/name.", { maxLength: 320 }), { maxItems: 16 });

export const Source = object(
  "Who calls; all of what is set must hold.",
  {},
  {
    principals: texts("Identities of the caller's certificate, one of them.", "TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT."),
    notPrincipals: texts("Identities that the caller must not have.", "An identity."),
    requestPrincipals: texts("Principals of the request's token, one of them.", "ISSUER/SUBJECT."),
    notRequestPrincipals: texts("Principals that the token must not have.", "ISSUER/SUBJECT."),
    namespaces: texts("Namespaces of the caller's identity, one of them.", "A namespace."),
    notNamespaces: texts("Namespaces that the caller must not be of.", "A namespace."),
    serviceAccounts: accounts("Service accounts of the caller's identity, one of them."),
    notServiceAccounts: accounts("Service accounts that the caller must not have."),
    trustDomains: texts("Trust domains of the caller's identity, one of them.", "A trust domain."),
    notTrustDomains: texts("Trust domains that the caller must not be of.", "A trust domain."),
    ipBlocks: texts("Addresses of the connection's other end, one of them.", "An IP address or a network."),
    notIpBlocks: texts("Addresses that the connection must not come from.", "An IP address or a network."),
    remoteIpBlocks: texts("Addresses of the client, as proxies before tell them.", "An IP address or a network."),
    notRemoteIpBlocks: texts("Addresses that the client must not have.", "An IP address or a network."),
  },
);
export type Source = Value<typeof Source>;

export const Operation = object(
  "What is called; all of what is set must hold.",
  {},
  {
    hosts: texts("Hosts of the request, one of them.", "A host."),
    notHosts: texts("Hosts that the request must not be for.", "A host."),
    ports: texts("Destination ports, one of them.", "A port number."),
    notPorts: texts("Ports that must not be the destination.", "A port number."),
    methods: texts("Methods of the request, one of them; POST for gRPC.", "A method."),
    notMethods: texts("Methods that the request must not have.", "A method."),
    paths: texts("Paths of the request, one of them.", "A path, or a template with {*} and {**}."),
    notPaths: texts("Paths that the request must not have.", "A path, or a template with {*} and {**}."),
  },
);
export type Operation = Value<typeof Operation>;

export const Condition = object(
  "An attribute and its values.",
  { key: string("The attribute's name, such as request.headers[User-Agent].") },
  {
    values: texts("Values of which the attribute must have one.", "A value."),
    notValues: texts("Values that the attribute must not have.", "A value."),
  },
);
export type Condition = Value<typeof Condition>;

export const Rule = object(
  "What the rule is about; all of what is set must hold.",
  {},
  {
    from: list("Who calls, one of these. Anybody unless set.", object("Who calls.", {}, { source: Source }), {
      maxItems: 512,
    }),
    to: list(
      "What is called, one of these. Anything unless set.",
      object("What is called.", {}, { operation: Operation }),
    ),
    when: list("More conditions, all of them.", Condition),
  },
);
export type Rule = Value<typeof Rule>;

export const AuthorizationPolicySpec = definition(
  istioName("AuthorizationPolicySpec", "security"),
  object(
    "Which workloads, and what they allow or refuse.",
    {},
    {
      ...policyTargetsWithOne,
      rules: list("What the policy is about, one of these. Nothing unless set.", Rule, { maxItems: 512 }),
      action: choice("What is done with what the rules are about. ALLOW unless set.", [
        "ALLOW",
        "DENY",
        "AUDIT",
        "CUSTOM",
      ]),
      provider: object(
        "Who decides, for CUSTOM.",
        {},
        { name: string("The name of one of the mesh's extension providers.") },
      ),
    },
  ),
);
export type AuthorizationPolicySpec = Value<typeof AuthorizationPolicySpec>;

/** Istio's `security.istio.io/v1.AuthorizationPolicy`. */
export type AuthorizationPolicy = Resource<{ readonly spec: AuthorizationPolicySpec; readonly status?: IstioStatus }>;

export const authorizationPolicy: Kind = istioKind({
  group: "security.istio.io",
  versions: [{ name: "v1" }, { name: "v1beta1" }],
  kind: "AuthorizationPolicy",
  plural: "authorizationpolicies",
  shortNames: ["ap"],
  description: "Who may call what: requests and connections that workloads allow or refuse.",
  spec: AuthorizationPolicySpec,
  columns: [fieldColumn("Action", ["spec", "action"], "What is done with what the rules are about.")],
  dryRun: true,
  validate: (object) => validateAuthorizationPolicy(object as AuthorizationPolicy),
  warnings: (object) => authorizationPolicyWarnings(object as AuthorizationPolicy),
});
