import type { IstioEgressListener, SidecarSpec } from "#api/istio/sidecar.ts";
import type { StringMap } from "#api/meta.ts";
import { everyone } from "./client.ts";
import { hostMatches } from "#api/istio/hosts.ts";
import { labelsMatch } from "./labels.ts";
import { type Protocol, sidecarProtocol } from "./protocol.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";

/** Which hosts of which namespace a Sidecar lets in. */
export interface EgressHost extends HostsOf {
  /** What its listener takes out again. */
  readonly except: readonly HostsOf[];
}

/** Hosts of a namespace. */
interface HostsOf {
  /** A namespace; `*` for all; `.` for the proxy's own. */
  readonly namespace: string;
  /** A host name, possibly a wildcard. */
  readonly pattern: string;
}

/** Namespaces in a Sidecar's `egress.hosts` that are relative to the proxy. */
export const ownNamespace = ".";

/** A host as it is written, `namespace/name`: let in, or with `~` before it taken out; `~` alone stands for all namespaces. */
function writtenHosts(text: string): readonly (HostsOf & { readonly out: boolean })[] {
  const slash = text.indexOf("/");
  if (slash < 0) return [];
  const [namespace, pattern] = [text.slice(0, slash), text.slice(slash + 1)];
  const out = namespace.startsWith("~");
  return [{ namespace: out ? namespace.slice(1) || everyone : namespace, pattern, out }];
}

/** What a Sidecar lets in; undefined where it does not say, so that everything visible is. */
export function egressHosts(spec: SidecarSpec): readonly EgressHost[] | undefined {
  if (spec.egress === undefined || spec.egress.length === 0) return undefined;
  return spec.egress.flatMap((listener) => {
    const written = listener.hosts.flatMap(writtenHosts);
    const except = written.filter(({ out }) => out).map(({ namespace, pattern }) => ({ namespace, pattern }));
    return written.filter(({ out }) => !out).map(({ namespace, pattern }) => ({ namespace, pattern, except }));
  });
}

/** Whether all hosts of all namespaces are let in. */
export function isEverything({ namespace, pattern, except }: EgressHost): boolean {
  return namespace === everyone && pattern === "*" && except.length === 0;
}

/** Whether what is let in depends on the proxy's own namespace. */
export function isRelative({ namespace, except }: EgressHost): boolean {
  return [namespace, ...except.map((each) => each.namespace)].includes(ownNamespace);
}

function isAbout({ namespace: written }: HostsOf, own: string, namespace: string): boolean {
  const wanted = written === ownNamespace ? own : written;
  return wanted === everyone || wanted === namespace;
}

/** Stands between a pattern and those that it leaves out; no host name has it. */
const separator = "!";

/** The patterns of hosts of one namespace that are let in for proxies of `own`: `*.shop!a.shop` leaves one out. */
export function patternsFor(hosts: readonly EgressHost[], own: string, namespace: string): readonly string[] {
  const patterns = hosts
    .filter((each) => isAbout(each, own, namespace))
    .map(({ pattern, except }) =>
      [pattern, ...except.filter((each) => isAbout(each, own, namespace)).map((each) => each.pattern)].join(separator),
    );
  return patterns.includes("*") ? ["*"] : patterns;
}

/** Whether such a pattern lets a host in. */
export function admits(pattern: string, host: string): boolean {
  const [wanted = "", ...except] = pattern.split(separator);
  return hostMatches(wanted, host) && !except.some((each) => hostMatches(each, host));
}

/** A listener of a Sidecar for what its workloads call. */
export interface EgressListener {
  /** Its place in the Sidecar. */
  readonly index: number;
  /** Absent for all ports that no listener before it has. */
  readonly port?: { readonly number: number; readonly protocol: Protocol };
  /** Whether it is for every port of services, which callers name: an HTTP proxy, and a Unix socket, whose port is 0. */
  readonly everyPort?: true;
  /** The address to listen on, or a Unix socket with `unix://` before its path; absent for those of services. */
  readonly bind?: string;
  /** Whether callers connect to it by its address, rather than being redirected. */
  readonly bound: boolean;
}

/** Where a listener that is bound is when its Sidecar does not say. */
export const loopback = "127.0.0.1";

/** Whether listeners on all ports of services would be on one Unix socket, so that nothing listens. */
export function isUnserved({ port, bind = "" }: IstioEgressListener): boolean {
  return port === undefined && isSocket(bind);
}

function isSocket(bind: string): boolean {
  return bind.startsWith("unix://");
}

/** The same where nothing is redirected: callers connect to it, on their loopback unless it says another address. */
export function unredirectedListener(listener: EgressListener = { index: 0, bound: true }): EgressListener {
  return { bind: loopback, ...listener, bound: true };
}

function egressListener(listener: IstioEgressListener, index: number): EgressListener {
  const { port, captureMode } = listener;
  const bound = captureMode === "NONE" || isSocket(listener.bind ?? "");
  const bind = listener.bind || (bound ? loopback : "");
  const everyPort = port && (isSocket(bind) || port.protocol?.toLowerCase() === "http_proxy");
  return {
    index,
    ...(port && { port: { number: port.number ?? 0, protocol: sidecarProtocol(port) } }),
    ...(everyPort && { everyPort }),
    ...(bind !== "" && { bind }),
    bound,
  };
}

/** A Sidecar's egress listeners. None where there is but one list of hosts, for all ports at the services' own addresses. */
export function egressListeners({ egress = [] }: SidecarSpec): readonly EgressListener[] {
  const plain = egress.every(({ port, bind = "", captureMode }) => !port && bind === "" && captureMode !== "NONE");
  if (plain) return [];
  return egress.flatMap((each, index) => (isUnserved(each) ? [] : [egressListener(each, index)]));
}

/** Whether a host of a namespace is let in for proxies of `own`. */
export function letsIn(hosts: readonly EgressHost[], own: string, namespace: string, host: string): boolean {
  return patternsFor(hosts, own, namespace).some((pattern) => admits(pattern, host));
}

/** Sidecars that may apply to workloads: those of their namespace, and those of the root namespace. */
export interface SidecarCandidates {
  readonly own: readonly Config<SidecarSpec>[];
  readonly root: readonly Config<SidecarSpec>[];
}

function hasSelector(row: Config<SidecarSpec>): boolean {
  return Object.keys(row.spec.workloadSelector?.labels ?? {}).length > 0;
}

/**
 * The Sidecar of a workload: one of its namespace that selects it, else its namespace's default, else the mesh's
 * default in the root namespace. Of several, the oldest.
 */
export function selectSidecar(candidates: SidecarCandidates, labels: StringMap): Config<SidecarSpec> | undefined {
  const own = candidates.own.toSorted(byAge);
  return (
    own.find((row) => hasSelector(row) && labelsMatch(row.spec.workloadSelector?.labels ?? {}, labels)) ??
    own.find((row) => !hasSelector(row)) ??
    candidates.root.toSorted(byAge).find((row) => !hasSelector(row))
  );
}
