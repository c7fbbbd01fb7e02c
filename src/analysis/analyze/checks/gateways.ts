import type { GatewaySpec, Server } from "#api/istio/gateway.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { Service } from "#api/kubernetes/service.ts";
import type { StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import { hostsOverlap } from "#api/istio/hosts.ts";
import { labelsMatch } from "#model/labels.ts";
import { resolveGateway } from "#model/virtualservices.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import { labelsText } from "#api/kubernetes/selector.ts";
import type { MeshObjects, Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

type GatewayObject = Subject<GatewaySpec>;

/** The ports by which Services lead to Pods with labels; undefined where no Pod has them. */
function portsToPods(selector: StringMap, objects: MeshObjects): ReadonlySet<number> | undefined {
  const pods = objects.pods(selector);
  if (pods.length === 0) return undefined;
  const services = objects.all<Service["spec"]>("Service").filter(({ namespace, cluster, spec }) => {
    const own = spec.selector ?? {};
    if (Object.keys(own).length === 0) return false;
    return pods.some((pod) => pod.namespace === namespace && pod.cluster === cluster && labelsMatch(own, pod.labels));
  });
  const ports = services.flatMap(({ spec }) => spec.ports ?? []).filter(({ protocol }) => protocol === "TCP");
  // A server's number is that of the proxy's port; one that a Service maps to another is meant as the Service's.
  return new Set(
    ports.flatMap(({ port, targetPort }) => (typeof targetPort === "number" ? [port, targetPort] : [port])),
  );
}

function* unservedPorts({ ref, spec }: GatewayObject, objects: MeshObjects): Generator<Problem> {
  const { selector = {}, servers = [] } = spec;
  const known = portsToPods(selector, objects);
  if (known === undefined) return;
  for (const [index, { port }] of servers.entries()) {
    if (known.has(port.number)) continue;
    const field = `spec.servers[${index}].port.number`;
    const message = `No Service of the Pods with ${labelsText(selector)} leads to port ${port.number}; it is reached by the Pods' own addresses only. Add the port to the gateway's Service.`;
    yield problemOf(ref, { code: "GatewayPortNotDefinedOnService", field, message });
  }
}

/** Servers that no Service leads to. */
export const gatewayPortAnalyzer: Analyzer = {
  name: "gateway.IngressGatewayPortAnalyzer",
  description: "Checks a Gateway's ports against the ports of its Pods' Services",
  *problems(objects) {
    for (const gateway of objects.all<GatewaySpec>("Gateway")) yield* unservedPorts(gateway, objects);
  },
};

/** What names a server's certificate; undefined where it has none. */
function certificateOf({ tls }: Server): string | undefined {
  const { credentialName = "", serverCertificate = "", privateKey = "" } = tls ?? {};
  if (credentialName !== "") return `Secret ${credentialName}`;
  return serverCertificate === "" || privateKey === "" ? undefined : `${serverCertificate} and ${privateKey}`;
}

function* sharedCertificates(gateway: GatewayObject, all: readonly GatewayObject[]): Generator<Problem> {
  const others = all.filter(
    ({ ref, spec }) => ref !== gateway.ref && labelsMatch(gateway.spec.selector ?? {}, spec.selector ?? {}),
  );
  for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
    const certificate = certificateOf(server);
    const other = others.find(({ spec }) => (spec.servers ?? []).some((each) => certificateOf(each) === certificate));
    if (certificate === undefined || !other) continue;
    const field = `spec.servers[${index}].tls`;
    const message = `Gateway ${other.namespace}/${other.name} has the same certificate (${certificate}): clients that use one connection for the hosts of both get 404. Put the servers in one Gateway, or use certificates of their own.`;
    yield problemOf(gateway.ref, { code: "GatewayDuplicateCertificate", field, message });
  }
}

/** Certificates that several Gateways of the same proxies have. */
export const gatewayCertificateAnalyzer: Analyzer = {
  name: "gateway.CertificateAnalyzer",
  description: "Checks that Gateways of the same proxies do not share a certificate",
  *problems({ all }) {
    const gateways = all<GatewaySpec>("Gateway");
    for (const gateway of gateways) yield* sharedCertificates(gateway, gateways);
  },
};

/** Whether some proxies serve both Gateways: the selectors are equal, or some Pod has the labels of both. */
function meet(a: GatewayObject, b: GatewayObject, { pods }: MeshObjects): boolean {
  const [first, second] = [a.spec.selector ?? {}, b.spec.selector ?? {}];
  if (canonical(first) === canonical(second)) return true;
  const overlap = labelsMatch(first, second) || labelsMatch(second, first);
  return overlap && pods({ ...first, ...second }).length > 0;
}

function sharedHosts(a: Server, b: Server): readonly string[] {
  if (a.port.number !== b.port.number || (a.bind ?? "") !== (b.bind ?? "")) return [];
  return a.hosts.filter((host) => b.hosts.includes(host));
}

function* conflicts(gateway: GatewayObject, all: readonly GatewayObject[], objects: MeshObjects): Generator<Problem> {
  const others = all.filter((other) => other.ref !== gateway.ref && meet(gateway, other, objects));
  for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
    for (const { namespace, name, spec } of others) {
      const [host] = (spec.servers ?? []).flatMap((other) => sharedHosts(server, other));
      if (host === undefined) continue;
      const message = `Gateway ${namespace}/${name} has host ${host} on port ${server.port.number} of the same proxies too, so that each serves the other's VirtualServices. Keep the host in one of them.`;
      yield problemOf(gateway.ref, {
        code: "ConflictingGateways",
        severity: "error",
        field: `spec.servers[${index}]`,
        message,
      });
    }
  }
}

/** Gateways in each other's place. */
export const conflictingGatewayAnalyzer: Analyzer = {
  name: "gateway.ConflictingGatewayAnalyzer",
  description: "Checks a Gateway's selector, port numbers and hosts against those of others",
  *problems(objects) {
    const gateways = objects.all<GatewaySpec>("Gateway");
    for (const gateway of gateways) yield* conflicts(gateway, gateways, objects);
  },
};

function terminates({ tls }: Server): boolean {
  return tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL" || tls?.mode === "OPTIONAL_MUTUAL";
}

function passesThrough({ tls }: Server): boolean {
  return tls?.mode === "PASSTHROUGH";
}

/** Servers of Gateways that take hosts of a VirtualService. */
function serversFor(
  { namespace, spec: { hosts = [], gateways = [] } }: Subject<VirtualServiceSpec>,
  all: readonly GatewayObject[],
): readonly Server[] {
  const names = new Set(gateways.map((name) => resolveGateway(name, namespace)));
  return all
    .filter((gateway) => names.has(`${gateway.namespace}/${gateway.name}`))
    .flatMap(({ spec: { servers = [] } }) => servers)
    .filter((server) => {
      const taken = server.hosts.map((host) => host.slice(host.indexOf("/") + 1));
      return taken.some((each) => hosts.some((host) => hostsOverlap(each, host)));
    });
}

function* mismatches(rules: Subject<VirtualServiceSpec>, gateways: readonly GatewayObject[]): Generator<Problem> {
  const { tls = [], http = [], gateways: names = [] } = rules.spec;
  const servers = serversFor(rules, gateways);
  // What sidecars follow is not judged: routes for them may stand beside.
  if (servers.length === 0 || names.includes("mesh")) return;
  if (tls.length > 0 && servers.every(terminates)) {
    const message =
      "The Gateway's servers end TLS, so that no connection with a server name is left to match. Write http routes, or let the servers pass TLS through.";
    yield problemOf(rules.ref, { code: "GatewayRouteMismatch", field: "spec.tls", message });
  }
  if (http.length > 0 && servers.every(passesThrough)) {
    const message =
      "The Gateway's servers pass TLS through, so that no request can be read. Write tls routes, or let the servers end TLS.";
    yield problemOf(rules.ref, { code: "GatewayRouteMismatch", field: "spec.http", message });
  }
}

/** Routes of a protocol that the Gateway's servers do not see. */
export const gatewayRouteAnalyzer: Analyzer = {
  name: "virtualservice.GatewayTlsAnalyzer",
  description: "Checks that routes fit what the Gateway's servers do with TLS",
  *problems({ all }) {
    const gateways = all<GatewaySpec>("Gateway");
    for (const rules of all<VirtualServiceSpec>("VirtualService")) yield* mismatches(rules, gateways);
  },
};
