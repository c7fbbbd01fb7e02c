/** Names of credentials in TLS settings, as Istio writes and resolves them. */
import type { ReferenceGrantSpec } from "#api/gateway-api/reference-grant.ts";

const schemes = {
  secret: "kubernetes://",
  /** Of the Gateway API: in the mesh's own API, and of any namespace that allows it. */
  gatewaySecret: "kubernetes-gateway://",
  configMap: "configmap://",
  builtin: "builtin://",
  external: "sds://",
  invalid: "invalid://",
} as const;

const gatewayGroup = "gateway.networking.k8s.io";

/** What ends the name of a Secret with authorities alone. */
const authoritiesSuffix = "-cacert";

/** An object that holds a credential, and what is taken of it. */
export interface CredentialPlace {
  readonly kind: "Secret" | "ConfigMap";
  readonly namespace: string;
  readonly name: string;
  /** What is wanted: a certificate with its key, or authorities. */
  readonly wanted: "certificate" | "authorities";
  /** The object is one of the mesh's own API, whatever the proxy's cluster. */
  readonly ofMesh: boolean;
}

/** Whether a setting, or an SDS resource, means what the workload has from the mesh. */
export function isBuiltin(credential: string): boolean {
  return credential.startsWith(schemes.builtin);
}

/**
 * What of the mesh an SDS resource means: the workload's own certificate or the mesh's authorities, as its agent serves them;
 * undefined for all else, also for one of the mesh with a name, of which there is none.
 */
export function meshSecret(resource: string): "default" | "ROOTCA" | undefined {
  if (resource === schemes.builtin) return "default";
  return resource === `${schemes.builtin}${authoritiesSuffix}` ? "ROOTCA" : undefined;
}

/** Whether a setting means a ConfigMap. */
export function isConfigMap(credential: string): boolean {
  return credential.startsWith(schemes.configMap);
}

/**
 * The SDS resource of a `credentialName`, by which proxies ask for the certificate: `kubernetes://NAME`. Those of `builtin://`
 * are the agent's to serve (`meshSecret`).
 */
export function certificateResource(credential: string): string {
  // No proxy has a socket of another SDS server beside it, where Istio asks for the mesh's own Secrets, too.
  const name = credential.startsWith(schemes.external) ? credential.slice(schemes.external.length) : credential;
  if (name.startsWith(schemes.invalid)) return schemes.invalid;
  const { secret, gatewaySecret, configMap, builtin } = schemes;
  const typed = [secret, gatewaySecret, configMap, builtin].some((scheme) => name.startsWith(scheme));
  return typed ? name : `${schemes.secret}${name}`;
}

/** The SDS resource of the authorities that belong to a `credentialName`: of the same Secret, or of `NAME-cacert`. */
export function authoritiesResource(credential: string): string {
  return certificateResource(`${credential}${authoritiesSuffix}`);
}

/**
 * The SDS resource of a `caCertCredentialName`. Istio takes authorities only of names that end as theirs do; the others
 * get that ending, which is left out again where no Secret has it.
 */
export function clientAuthoritiesResource(credential: string): string {
  const whole = isConfigMap(credential) || credential.endsWith(authoritiesSuffix);
  return whole ? certificateResource(credential) : authoritiesResource(credential);
}

/** Names without the ending of authorities. */
export function withoutSuffix(name: string): string {
  return name.endsWith(authoritiesSuffix) ? name.slice(0, -authoritiesSuffix.length) : name;
}

function qualified(rest: string): { readonly namespace: string; readonly name: string } | undefined {
  const [namespace = "", name = ""] = rest.split("/");
  return namespace === "" || name === "" ? undefined : { namespace, name };
}

/**
 * Where the credential is that a proxy asks for by an SDS resource's name.
 * @param namespace the proxy's own, which names without one mean.
 * @returns undefined for names that mean none.
 */
export function parseCredential(resource: string, namespace: string): CredentialPlace | undefined {
  const wanted = resource.endsWith(authoritiesSuffix) ? "authorities" : "certificate";
  const after = (scheme: string): string | undefined =>
    resource.startsWith(scheme) ? resource.slice(scheme.length) : undefined;
  const plain = after(schemes.secret);
  if (plain !== undefined) {
    const place = plain.includes("/") ? qualified(plain) : { namespace, name: plain };
    return place && place.name !== "" ? { kind: "Secret", ...place, wanted, ofMesh: false } : undefined;
  }
  const gateway = after(schemes.gatewaySecret);
  if (gateway !== undefined) {
    const place = qualified(gateway);
    return place && { kind: "Secret", ...place, wanted, ofMesh: true };
  }
  const place = qualified(after(schemes.configMap) ?? "");
  return place && { kind: "ConfigMap", ...place, wanted: "authorities", ofMesh: true };
}

/** Whether a ReferenceGrant of the credential's namespace allows it to Gateways of another. */
function isGranted({ name }: CredentialPlace, namespace: string, { from, to }: ReferenceGrantSpec): boolean {
  const names = new Set([name, withoutSuffix(name)]);
  return (
    from.some((each) => each.group === gatewayGroup && each.kind === "Gateway" && each.namespace === namespace) &&
    to.some((each) => each.group === "" && each.kind === "Secret" && (each.name === undefined || names.has(each.name)))
  );
}

/**
 * Whether a proxy may read what it asks for: Secrets of its own namespace, authorities of any ConfigMap, which are nobody's
 * secret, and by names of the Gateway API what another namespace grants.
 * @param grants of the namespace of what it asks for; none where they do not count.
 */
export function mayRead(
  place: CredentialPlace,
  namespace: string,
  grants: readonly { readonly spec: ReferenceGrantSpec }[] = [],
): boolean {
  if (place.kind === "ConfigMap" || place.namespace === namespace) return true;
  return place.ofMesh && grants.some(({ spec }) => isGranted(place, namespace, spec));
}
