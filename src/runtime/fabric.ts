import { addressText, parseCidr } from "#base/cidr.ts";
import type { Cidr } from "#base/cidr.ts";
import { command } from "./command.ts";
import { shortId } from "./names.ts";
import { ensureNamespace, inside, ipBatch, ipJson, namespacePath, removeNamespace } from "./namespace.ts";

/**
 * The address from which agents probe Pods. It is link-local and the same for every fabric, so that a Pod's capture
 * rules can let probes through to the application; Istio's ambient mode does the same with the same address.
 */
export const probeAddress = "169.254.7.127";

/** The network namespace that joins an instance's Pods: bridges, routes, and the agents' processes. */
export function fabricName(instance: string): string {
  return `weft-${instance}-fabric`;
}

interface Link {
  readonly ifname: string;
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[];
}

/** Makes the fabric of an instance; what stands already is kept. Nothing outside the namespace changes. */
export async function ensureFabric(instance: string): Promise<void> {
  const name = fabricName(instance);
  await ensureNamespace(name);
  // /proc/sys/net is that of the network namespace of whoever opens it.
  await command(inside(namespacePath(name), ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
  await ensureAddress(name, "lo", probeAddress, 32);
}

/** A node's bridge in the fabric. */
export interface Bridge {
  readonly instance: string;
  /** Nodes of a cluster share one bridge. */
  readonly cluster: string;
  /** Pods of the node get addresses from it; its first address is the bridge's: the Pods' gateway and the node's address. */
  readonly podCidr: string;
}

/** The interface name of a cluster's bridge. */
export function bridgeName(cluster: string): string {
  return `br-${cluster.length <= 12 ? cluster : shortId(cluster)}`;
}

/** The first address of a Pod network: its gateway, and the address of the node it belongs to. */
export function gatewayOf(podCidr: Cidr): string {
  return addressText(podCidr.base + 1);
}

/** Makes a node's bridge inside an existing fabric; what stands already is kept. */
export async function ensureBridge(bridge: Bridge): Promise<void> {
  const fabric = fabricName(bridge.instance);
  const cidr = parseCidr(bridge.podCidr);
  const name = bridgeName(bridge.cluster);
  const links = await ipJson<Link>(fabric, ["link", "show", "type", "bridge"]);
  if (!links.some((link) => link.ifname === name)) {
    // The first Pod would lend the bridge its hardware address and take it along; a fixed one keeps neighbours' caches true.
    await ipBatch(fabric, [`link add ${name} address ${hardwareAddress(gatewayOf(cidr))} type bridge forward_delay 0`]);
  }
  await ensureAddress(fabric, name, gatewayOf(cidr), cidr.prefix);
  await ipBatch(fabric, [`link set ${name} up`]);
}

/**
 * The hardware address that goes with an address. One that another Pod takes over keeps it, so what its neighbours remember
 * stays true.
 */
export function hardwareAddress(address: string): string {
  const octets = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return ["0a", "58", ...octets].join(":");
}

async function ensureAddress(namespace: string, link: string, address: string, prefix: number): Promise<void> {
  await command(["ip", "-n", namespace, "address", "replace", `${address}/${prefix}`, "dev", link]);
}

/** Removes an instance's fabric with all its bridges and routes. Its processes must have ended. */
export async function removeFabric(instance: string): Promise<void> {
  await removeNamespace(fabricName(instance));
}
