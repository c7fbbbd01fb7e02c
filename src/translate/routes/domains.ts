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
interface ServiceNames {
  readonly host: string;
  /** Hosts of ExternalName services that stand for this one. */
  readonly aliases: readonly string[];
  /** The service's addresses in the caller's cluster. */
  readonly addresses: readonly string[];
  /** Whether it is a headless Kubernetes service, whose Pods have names below its own. */
  readonly headless: boolean;
}

/** A service with the names that it is called by. */
export interface NamedService {
  readonly host: string;
  /** Whether it is itself another name of a service: it then has a virtual host only where rules name it. */
  readonly isAlias: boolean;
  /** Every name by which callers of other namespaces mean it. */
  readonly domains: readonly Domain[];
  /** The same for callers of namespaces in which it has shorter names. */
  readonly domainsAtHome: ReadonlyMap<string, readonly Domain[]>;
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
function serviceDomains(service: ServiceNames, callerNamespace: string): readonly Domain[] {
  const names = [service.host, ...service.aliases].flatMap((host) => spellings(host, callerNamespace));
  const below = service.headless ? names.map(({ domain }) => ({ domain: `*.${domain}`, derived: true })) : [];
  return [...names, ...below, ...service.addresses.flatMap(hostDomains)];
}

/** The namespace of a Kubernetes service, by its host; empty for other hosts. */
function homeOf(host: string): string {
  const suffix = `.svc.${clusterDomain}`;
  return host.endsWith(suffix) ? host.slice(host.indexOf(".") + 1, -suffix.length) : "";
}

/** Works out a service's names, once for all of its callers. */
export function namedService(names: ServiceNames, isAlias: boolean): NamedService {
  const homes = new Set([names.host, ...names.aliases].map(homeOf).filter((home) => home !== ""));
  return {
    host: names.host,
    isAlias,
    domains: serviceDomains(names, ""),
    domainsAtHome: new Map([...homes].map((home) => [home, serviceDomains(names, home)])),
  };
}

/** The `Host` that means a host which is no service, or an address. */
export function hostDomains(host: string): readonly Domain[] {
  return [{ domain: inHeader(host), derived: false }];
}
