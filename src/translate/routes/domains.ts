import { isIP } from "node:net";
import { clusterDomain } from "#model/hosts.ts";

/** A host as it stands in a `Host` header: an IPv6 address in brackets. Case makes no difference to Envoy. */
function inHeader(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host.toLowerCase();
}

/**
 * The shorter names by which a program in a namespace may call a Kubernetes service, as its resolver's search path lets
 * it: the service's bare name only within the service's own namespace. Also of names below a service's, such as those of
 * single Pods; nothing for other hosts.
 */
function shortNames(host: string, callerNamespace: string): readonly string[] {
  const suffix = `.svc.${clusterDomain}`;
  const qualified = host.endsWith(suffix) ? host.slice(0, -suffix.length) : "";
  const dot = qualified.indexOf(".");
  if (dot < 0) return [];
  const withNamespace = [`${qualified}.svc`, qualified];
  const name = qualified.slice(0, dot);
  // A lone wildcard would take what is for no service.
  return qualified.slice(dot + 1) === callerNamespace && name !== "*" ? [name, ...withNamespace] : withNamespace;
}

/** What the names of a service's virtual host depend on. */
export interface NamedService {
  readonly host: string;
  /** Hosts of ExternalName services that stand for this one. */
  readonly aliases: readonly string[];
  /** Whether it is itself another name of a service: it then has a virtual host only where rules name it. */
  readonly isAlias: boolean;
  /** The service's addresses in the caller's cluster. */
  readonly addresses: readonly string[];
  /** Whether it is a headless Kubernetes service, whose Pods have names below its own. */
  readonly headless: boolean;
}

/** One way to name a service. */
export interface Domain {
  readonly domain: string;
  /** Made from the full name; yields to another service's full name that is the same. */
  readonly derived: boolean;
}

function spellings(host: string, callerNamespace: string): readonly Domain[] {
  const absolute = isIP(host) === 0 ? [`${host}.`] : [];
  const derived = [...absolute, ...shortNames(host, callerNamespace)];
  return [...hostDomains(host), ...derived.map((domain) => ({ domain, derived: true }))];
}

/**
 * Every `Host` that means a service, without ports, which Envoy ignores in matching: the full name (also with the
 * final dot of an absolute one), the shorter ones, the addresses.
 */
export function serviceDomains(service: NamedService, callerNamespace: string): readonly Domain[] {
  const names = [service.host, ...service.aliases].flatMap((host) => spellings(host, callerNamespace));
  const below = service.headless ? names.map(({ domain }) => ({ domain: `*.${domain}`, derived: true })) : [];
  return [...names, ...below, ...service.addresses.flatMap(hostDomains)];
}

/** The `Host` that means a host which is no service, or an address. */
export function hostDomains(host: string): readonly Domain[] {
  return [{ domain: inHeader(host), derived: false }];
}
