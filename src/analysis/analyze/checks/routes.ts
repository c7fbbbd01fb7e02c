import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { hostsOverlap, isWildcard } from "#api/istio/hosts.ts";
import { listed } from "#model/findings/finding.ts";
import { destinationsOf } from "#model/findings/virtualservice.ts";
import { resolveHost } from "#model/hosts.ts";
import { isHttp } from "#model/protocol.ts";
import { only } from "#model/services.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects, Subject } from "../mesh-objects.ts";
import type { Fix, Problem } from "../message.ts";
import { fieldPointer } from "#api/field-path.ts";

type Rules = Subject<VirtualServiceSpec>;

function* portless({ ref, namespace, spec }: Rules, { mesh: { model } }: MeshObjects): Generator<Problem> {
  for (const { field, destination } of destinationsOf(spec)) {
    const { host, port } = destination;
    if (port?.number) continue;
    const key = model.services.keyForHost.get({ viewer: namespace, host: resolveHost(host, namespace) });
    const service = key === undefined ? undefined : model.services.service.get(key);
    const ports = service?.ports ?? [];
    if (ports.length < 2) continue;
    const numbers = ports.map(({ number }) => String(number));
    const likely = ports.filter(({ protocol }) => isHttp(protocol) === field.startsWith("spec.http"));
    const [one] = likely;
    const path = fieldPointer(`${field}.port`);
    const fix: Fix | undefined =
      one && likely.length === 1
        ? {
            text: `Name port ${one.number} (${one.protocol}).`,
            patch: [{ op: "add", path, value: { number: one.number } }],
          }
        : undefined;
    const message = `${host} has several ports (${listed(numbers)}) and the destination names none: traffic goes to the port of the number that was called, if there is one. Set port.number.`;
    yield problemOf(ref, {
      code: "VirtualServiceDestinationPortSelectorRequired",
      field: `${field}.host`,
      message,
      fix,
    });
  }
}

/** Destinations that name no port of several. */
export const destinationPortAnalyzer: Analyzer = {
  name: "virtualservice.DestinationHostAnalyzer",
  description: "Checks that destinations name a port of services that have several",
  *problems(objects) {
    for (const rules of objects.all<VirtualServiceSpec>("VirtualService")) yield* portless(rules, objects);
  },
};

/** Methods of which a second request does what the first did (RFC 9110, 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
/**
 * Conditions under which the server may have acted before it failed. Numbers are statuses; 503, which Istio retries
 * unless told otherwise, is none of them.
 */
const unsafe = /^(?:5xx|gateway-error|reset|internal|deadline-exceeded|5(?!03)\d\d)$/;
const safeConditions = "connect-failure,refused-stream,reset-before-request";

function onlyIdempotent({ match = [] }: HTTPRoute): boolean {
  return match.length > 0 && match.every(({ method }) => idempotent.has(method?.exact ?? ""));
}

function* retriesOf({ ref, spec }: Rules): Generator<Problem> {
  for (const [index, route] of (spec.http ?? []).entries()) {
    const { attempts, retryOn = "" } = route.retries ?? {};
    const conditions = retryOn.split(",").map((word) => word.trim());
    const found = conditions.filter((word) => unsafe.test(word));
    if (attempts === 0 || found.length === 0 || onlyIdempotent(route)) continue;
    const field = `spec.http[${index}].retries.retryOn`;
    const kept = conditions.filter((word) => word !== "" && !unsafe.test(word));
    const value = kept.length === 0 ? safeConditions : kept.join(",");
    const fix = {
      text: `Retry only what the server has not begun: ${value}.`,
      patch: [{ op: "replace", path: fieldPointer(field), value }],
    } as const;
    const message = `Requests of any method are sent again on ${listed(found)}, when the server may have acted already; a POST may then happen twice. Match the methods that may be repeated, or retry on ${safeConditions}.`;
    yield problemOf(ref, { code: "UnsafeRetries", field, message, fix });
  }
}

/** Retries that may repeat what was done. */
export const retriesAnalyzer: Analyzer = {
  name: "virtualservice.RetriesAnalyzer",
  description: "Checks that requests which may have had an effect are not sent again",
  *problems({ all }) {
    for (const rules of all<VirtualServiceSpec>("VirtualService")) yield* retriesOf(rules);
  },
};

/** The hosts of its own that a VirtualService leads to by subsets. */
function hostsWithSubsets({ namespace, spec: { hosts = [], http = [] } }: Rules): readonly string[] {
  const own = new Set(hosts.map((host) => resolveHost(host, namespace)));
  return http
    .flatMap(({ route = [] }) => route)
    .filter(({ destination }) => (destination.subset ?? "") !== "")
    .map(({ destination }) => resolveHost(destination.host, namespace))
    .filter((host) => own.has(host));
}

function* bypassed(rules: Rules, all: readonly Rules[]): Generator<Problem> {
  const { ref, namespace, spec } = rules;
  if ((spec.gateways ?? []).length === 0) return;
  for (const [index, { route = [] }] of (spec.http ?? []).entries()) {
    for (const [at, { destination }] of route.entries()) {
      const host = resolveHost(destination.host, namespace);
      const other = all.find((each) => each.ref !== ref && hostsWithSubsets(each).includes(host));
      if ((destination.subset ?? "") !== "" || !other) continue;
      const field = `spec.http[${index}].route[${at}].destination.host`;
      const message = `The rules of VirtualService ${other.namespace}/${other.name} for ${host}, which choose subsets, do not hold for requests that come through the gateway this way. Name subsets here too.`;
      yield problemOf(ref, { code: "IngressRouteRulesNotAffected", field, message });
    }
  }
}

/** Rules of hosts that requests through gateways pass by. */
export const ingressSubsetAnalyzer: Analyzer = {
  name: "virtualservice.IngressSubsetAnalyzer",
  description: "Checks that rules by subsets hold for requests through gateways too",
  *problems({ all }) {
    const rules = all<VirtualServiceSpec>("VirtualService");
    for (const each of rules) yield* bypassed(each, rules);
  },
};

/** Namespaces whose sidecars follow rules; `*` for all. */
function scopesOf({ namespace, spec: { exportTo = [] } }: Rules, otherwise: readonly string[]): readonly string[] {
  const told = exportTo.length === 0 ? otherwise : exportTo;
  return told.includes("*") ? ["*"] : told.map((each) => (each === "." ? namespace : each));
}

/** A host of rules that sidecars follow. */
interface MeshHost {
  readonly rules: Rules;
  readonly field: string;
  readonly host: string;
  readonly scopes: readonly string[];
}

/** Whether sidecars may follow two rules for one host: for rules of all namespaces and of some, wildcards count too. */
function inConflict(a: MeshHost, b: MeshHost): boolean {
  const [wide, narrow] = [a, b].map(({ scopes }) => scopes.includes("*"));
  if (wide !== narrow) return hostsOverlap(a.host, b.host);
  return a.host === b.host && (wide === true || a.scopes.some((each) => b.scopes.includes(each)));
}

function* meshHosts(all: readonly Rules[], exported: readonly string[]): Generator<MeshHost> {
  for (const rules of all) {
    const { gateways = [], hosts = [] } = rules.spec;
    if (gateways.length > 0 && !gateways.includes("mesh")) continue;
    const scopes = scopesOf(rules, exported);
    for (const [index, host] of hosts.entries()) {
      yield { rules, field: `spec.hosts[${index}]`, host: resolveHost(host, rules.namespace), scopes };
    }
  }
}

function* conflictingHosts({ all, mesh: { model } }: MeshObjects): Generator<Problem> {
  const exported = model.services.mesh.get(only).defaultVirtualServiceExportTo;
  const hosts = [...meshHosts(all<VirtualServiceSpec>("VirtualService"), exported)];
  const exact = Map.groupBy(hosts, ({ host }) => host);
  const wild = hosts.filter(({ host }) => isWildcard(host));
  for (const one of hosts) {
    const near = isWildcard(one.host) ? hosts : [...(exact.get(one.host) ?? []), ...wild];
    const others = near.filter((each) => each.rules.ref !== one.rules.ref && inConflict(one, each));
    if (others.length === 0) continue;
    const names = [...new Set(others.map(({ rules }) => `${rules.namespace}/${rules.name}`))];
    const message = `VirtualService ${listed(names)} is for the host ${one.host} too: of two that some sidecars see, they follow one. Merge them.`;
    yield problemOf(one.rules.ref, { code: "ConflictingHosts", severity: "error", field: one.field, message });
  }
}

/** Several rules for one host. */
export const conflictingHostsAnalyzer: Analyzer = {
  name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
  description: "Checks if multiple VirtualServices that sidecars follow have conflicting hosts",
  problems: conflictingHosts,
};
