import { type Value, choice, definition, int32, list, map, object, string } from "../schema.ts";

/** Standard channel of Gateway API 1.6.1, which all schemas of this folder follow. */
export const gatewayApiRelease = "1.6.1";

/** Group of the Gateway API. */
export const gatewayApiGroup = "gateway.networking.k8s.io";

/** Name of a schema of the Gateway API in OpenAPI documents. */
export function gatewayName(message: string): string {
  return `io.k8s.networking.gateway.v1.${message}`;
}

const groupText = { maxLength: 253, format: "dns-group" } as const;
const kindText = { minLength: 1, maxLength: 63, format: "kind-name" } as const;

/** The group of an object that is referred to. */
export const group = string("The object's group; empty for the core group.", groupText);

/** The kind of an object that is referred to. */
export const kind = string("The object's kind.", kindText);

/** The name of an object that is referred to. */
export const objectName = string("The object's name.", { minLength: 1, maxLength: 253 });

/** The namespace of an object that is referred to. */
export const namespace = string("The object's namespace. The referring object's own unless set.", {
  minLength: 1,
  maxLength: 63,
  format: "dns-label",
});

/** A port that is referred to. */
export const port = int32("The port's number.", { minimum: 1, maximum: 65_535 });

/** A group and a kind that stand for themselves unless set. */
export function groupAndKind(defaultGroup: string, defaultKind: string) {
  return {
    group: string("The object's group; empty for the core group.", { ...groupText, default: defaultGroup }),
    kind: string("The object's kind.", { ...kindText, default: defaultKind }),
  };
}

/** A name of a part of an object, such as a listener of a Gateway. */
export function sectionName(description: string) {
  return string(description, { minLength: 1, maxLength: 253, format: "dns-name" });
}

/** A host name without wildcards. */
export function preciseHostname(description: string) {
  return string(description, { minLength: 1, maxLength: 253, format: "dns-name" });
}

/** A host name, with or without a wildcard as its first label. */
export function hostname(description: string) {
  return string(description, { minLength: 1, maxLength: 253, format: "wildcard-dns-name" });
}

/** The name of a controller: a DNS name, a slash, and a path. */
export const controllerName = string("The controller's name, such as istio.io/gateway-controller.", {
  minLength: 1,
  maxLength: 253,
  format: "controller-name",
});

/** Gateway API's `LocalObjectReference`. */
export const LocalObjectReference = object(
  "Names an object of the same namespace.",
  { group, kind, name: objectName },
  {},
);

/** Gateway API's `SecretObjectReference`. */
export const SecretObjectReference = object(
  "Names a Secret; one of another namespace needs a ReferenceGrant there.",
  { ...groupAndKind("", "Secret"), name: objectName },
  { namespace },
);

/** Gateway API's `ParentReference`. */
export const ParentReference = definition(
  gatewayName("ParentReference"),
  object(
    "What a route is attached to.",
    { ...groupAndKind(gatewayApiGroup, "Gateway"), name: objectName },
    { namespace, sectionName: sectionName("A listener of the Gateway, or a port of the Service, by name."), port },
  ),
);
export type ParentReference = Value<typeof ParentReference>;

/** Gateway API's `BackendObjectReference`: where requests go. */
export const backendReference = {
  required: { ...groupAndKind("", "Service"), name: objectName },
  optional: { namespace, port },
};

/** A backend with its share of a rule's requests. */
export const weight = int32("Share of requests against the rule's other backends.", {
  default: 1,
  minimum: 0,
  maximum: 1_000_000,
});

/** Settings of an implementation's own. */
export const options = map("Settings of the implementation's own.", string("A value.", { maxLength: 4096 }), {
  maxProperties: 16,
});

/** Which of an object's namespaces may use it. */
export function fromNamespaces<const Words extends readonly string[]>(words: Words, unless: Words[number]) {
  return choice("Which namespaces.", words, { default: unless });
}

/** Objects of a Gateway API kind by group and kind. */
export const RouteGroupKind = object(
  "A kind of routes.",
  {
    group: string("The kind's group.", { ...groupText, default: gatewayApiGroup }),
    kind: string("The kind's name.", kindText),
  },
  {},
);

/** Header names, in match or change. */
export const headerName = string("The name, in any case.", { minLength: 1, maxLength: 256, format: "header-name" });

/** A list of names that clients may rely on. */
export function names(description: string, item: string, maxItems: number) {
  return list(description, string(item), { maxItems });
}
