import type { Kind } from "../kind.ts";
import type { FieldError } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { type FieldPath as Path, FieldPath, duplicate, forbidden, required } from "../field.ts";
import { choice, definition, list, object, string, type Value } from "../schema.ts";
import { gatewayApiKind } from "./kind.ts";
import {
  gatewayName,
  group,
  hostname,
  kind,
  LocalObjectReference,
  objectName,
  options,
  preciseHostname,
  sectionName,
} from "./names.ts";
import { PolicyStatus } from "./policy-status.ts";

const SubjectAltName = object(
  "A name that the backend's certificate may have.",
  { type: choice("What sort of name.", ["Hostname", "URI"]) },
  {
    hostname: hostname("The name, for Hostname."),
    uri: string("The name, for URI, such as spiffe://cluster.local/ns/shop/sa/reviews.", {
      minLength: 1,
      maxLength: 253,
      pattern: "^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\\?([^#]*))?(#(.*))?",
    }),
  },
);

const TargetReference = object(
  "A backend.",
  { group, kind, name: objectName },
  { sectionName: sectionName("A port of the Service, by name. All unless set.") },
);

export const BackendTLSPolicySpec = definition(
  gatewayName("BackendTLSPolicySpec"),
  object(
    "Which backends, and how their certificates are checked.",
    {
      targetRefs: list("The backends.", TargetReference, { minItems: 1, maxItems: 16 }),
      validation: object(
        "How the backend's certificate is checked.",
        { hostname: preciseHostname("The server name that is asked for, and that the certificate must have.") },
        {
          caCertificateRefs: list("Certificates of authorities.", LocalObjectReference, { maxItems: 8 }),
          wellKnownCACertificates: string("Authorities that are known: System.", {
            minLength: 1,
            maxLength: 253,
            pattern:
              "^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$",
          }),
          subjectAltNames: list("Names of which the certificate must have one, instead of hostname.", SubjectAltName, {
            maxItems: 5,
          }),
        },
      ),
    },
    { options },
  ),
);
export type BackendTLSPolicySpec = Value<typeof BackendTLSPolicySpec>;

/** Gateway API's `v1.BackendTLSPolicy`. */
export type BackendTLSPolicy = Resource<{ readonly spec: BackendTLSPolicySpec }>;

function* validateName(name: Value<typeof SubjectAltName>, path: Path): Generator<FieldError> {
  for (const [field, type] of [
    ["hostname", "Hostname"],
    ["uri", "URI"],
  ] as const) {
    if (name.type === type && name[field] === undefined) yield required(path.field(field));
    if (name.type !== type && name[field] !== undefined)
      yield forbidden(path.field(field), `only with the type ${type}`);
  }
}

function* validate({ spec }: BackendTLSPolicy): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  const seen = new Map<string, Set<string | undefined>>();
  for (const [index, target] of spec.targetRefs.entries()) {
    const key = [target.group, target.kind, target.name].join("/");
    const sections = seen.get(key) ?? new Set();
    const at = path.field("targetRefs").item(index).field("sectionName");
    if (sections.has(target.sectionName)) yield duplicate(at, target.sectionName ?? "");
    else if (sections.size > 0 && (target.sectionName === undefined || sections.has(undefined))) {
      yield required(at, "where a target is named twice");
    }
    seen.set(key, sections.add(target.sectionName));
  }
  const { caCertificateRefs = [], wellKnownCACertificates, subjectAltNames = [] } = spec.validation;
  const at = path.field("validation");
  if (caCertificateRefs.length > 0 && wellKnownCACertificates !== undefined) {
    yield forbidden(at.field("wellKnownCACertificates"), "not together with caCertificateRefs");
  }
  if (caCertificateRefs.length === 0 && wellKnownCACertificates === undefined) {
    yield required(at, "caCertificateRefs or wellKnownCACertificates");
  }
  for (const [index, name] of subjectAltNames.entries()) {
    yield* validateName(name, at.field("subjectAltNames").item(index));
  }
}

export const backendTLSPolicy: Kind = gatewayApiKind({
  versions: [{ name: "v1" }],
  kind: "BackendTLSPolicy",
  plural: "backendtlspolicies",
  shortNames: ["btlspolicy"],
  description: "TLS to backends, and how their certificates are checked.",
  schema: object("TLS to backends.", { spec: BackendTLSPolicySpec }, { status: PolicyStatus }),
  validate: (object) => validate(object as BackendTLSPolicy),
});
