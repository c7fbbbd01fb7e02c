import { isIP, isIPv6 } from "node:net";
import { memberNamespace } from "#api/member-api.ts";
import { WeftError } from "#base/errors.ts";
import type { MemberObject } from "../aggregation/objects.ts";
import { installPorts, installNames, nameOfRevision } from "../install/options.ts";
import type { ControlPlaneAddress } from "./published.ts";

/** Labels of everything by which a member reaches the mesh's control plane, by which all of it is found again. */
export const reachLabels = {
  "app.kubernetes.io/managed-by": "weft",
  "app.kubernetes.io/component": "control-plane",
} as const;

/** Port of the Service by which API servers ask the webhooks. One that is only a name has no ports of its own. */
export function webhookPort({ hosts, webhooks = 443 }: ControlPlaneAddress): number {
  return hosts.some((host) => isIP(host) === 0) ? webhooks : 443;
}

interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number;
}

function portsOf({ xds, webhooks }: ControlPlaneAddress): readonly NamedPort[] {
  const secure = { name: "https-dns", port: installPorts.xds, targetPort: xds };
  if (webhooks === undefined) return [secure];
  return [secure, { name: "https-webhook", port: 443, targetPort: webhooks }];
}

/** @throws WeftError `FailedPrecondition` where Pods could not reach the control plane by these hosts. */
function checkHosts({ revision, hosts, xds }: ControlPlaneAddress): void {
  const name = hosts.find((host) => isIP(host) === 0);
  const given = `the control plane of revision ${revision} is said to be at ${hosts.join(", ")}`;
  if (name !== undefined && hosts.length > 1) {
    throw new WeftError("FailedPrecondition", `${given}: give either one name or addresses of IP`);
  }
  if (name !== undefined && xds !== installPorts.xds) {
    const fix = `a name must serve xDS at ${installPorts.xds}; give addresses of IP, whose ports may be any`;
    throw new WeftError("FailedPrecondition", `${given}, port ${xds}: ${fix}`);
  }
}

function endpointSlices(address: ControlPlaneAddress, service: string): readonly MemberObject[] {
  const ports = portsOf(address).map(({ name, targetPort: port }) => ({ name, port, protocol: "TCP" }));
  return ["IPv4", "IPv6"].flatMap((addressType) => {
    const hosts = address.hosts.filter((host) => isIPv6(host) === (addressType === "IPv6"));
    if (hosts.length === 0) return [];
    const labels = {
      ...reachLabels,
      "kubernetes.io/service-name": service,
      "endpointslice.kubernetes.io/managed-by": "weft",
    };
    return [
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { namespace: memberNamespace, name: `${service}-${addressType.toLowerCase()}`, labels },
        addressType,
        endpoints: hosts.map((host) => ({ addresses: [host], conditions: { ready: true } })),
        ports,
      },
    ];
  });
}

/**
 * What makes Istio's name of the control plane lead to one that runs outside of the cluster: the Service without Pods of its own, as
 * Istio's profile `remote` has it.
 * @throws WeftError `FailedPrecondition` where Pods could not reach it so.
 */
export function reachObjects(address: ControlPlaneAddress): readonly MemberObject[] {
  checkHosts(address);
  const name = nameOfRevision(installNames.discovery, address.revision);
  const service = (spec: object): MemberObject => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: memberNamespace, name, labels: reachLabels },
    spec: { ...spec, ports: portsOf(address).map((port) => ({ ...port, protocol: "TCP" })) },
  });
  const [host = ""] = address.hosts;
  if (isIP(host) === 0) return [service({ type: "ExternalName", externalName: host })];
  return [service({ type: "ClusterIP" }), ...endpointSlices(address, name)];
}
