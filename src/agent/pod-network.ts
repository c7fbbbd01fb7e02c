import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { fabricName } from "#runtime/fabric.ts";
import { forwarderRuns, startForwarder, stopForwarder } from "#runtime/forwarder.ts";
import { namespaceExists, namespacePath } from "#runtime/namespace.ts";
import { createSandbox, killSandbox, removeSandbox, sandboxName } from "#runtime/sandbox.ts";
import { dnsAddress, hostsFile, resolvConf } from "./files.ts";
import type { NodeContext } from "./node-context.ts";
import { dnsPort } from "./dns/service.ts";
import type { PodRecord } from "./records.ts";
import { leadPod } from "./traffic/lead-pod.ts";

function sandboxId(context: NodeContext, { pod }: PodRecord): { readonly instance: string; readonly pod: string } {
  return { instance: context.options.instance, pod: pod.metadata.uid };
}

/** Whether a Pod's namespace is there; after the machine's restart it is not, whatever the record says. */
export function hasNetwork(context: NodeContext, record: PodRecord): boolean {
  return namespaceExists(sandboxName(sandboxId(context, record)));
}

/**
 * Makes a Pod's network, the files that its processes see, and has its traffic led to its proxy.
 * @throws WeftError `InvalidArgument` when its annotations are wrong.
 */
export async function prepareNetwork(context: NodeContext, record: PodRecord): Promise<void> {
  const { options, network, layout, traffic } = context;
  const { pod, address } = record;
  const id = sandboxId(context, record);
  const { files } = layout.pod(pod.metadata.uid);
  mkdirSync(files, { recursive: true, mode: 0o755 });
  writeFileSync(join(files, "resolv.conf"), resolvConf(pod, options.clusterDomain), { mode: 0o644 });
  writeFileSync(join(files, "hosts"), hostsFile(pod, address, options.clusterDomain), { mode: 0o644 });
  await traffic.forget(record.traffic);
  delete record.traffic;
  await createSandbox({ ...id, cluster: options.cluster, address, prefix: network.prefix, gateway: network.hostIp });
  await leadTraffic(context, record, true);
}

/**
 * Has a Pod's traffic led to its proxy as is wanted now, and tidies up after the change that was last.
 * @param fresh whether nothing of the Pod runs yet.
 */
export async function leadTraffic(context: NodeContext, record: PodRecord, fresh = false): Promise<void> {
  if (record.role !== "sidecar") return;
  const network = namespacePath(sandboxName(sandboxId(context, record)));
  const dns = { servers: [dnsAddress], port: dnsPort };
  await leadPod(context, record, { network, fresh, dns, usual: context.options.hijack ?? "iptables" });
}

/** Ends whatever still runs in a Pod's network and removes it. */
export async function removeNetwork(context: NodeContext, record: PodRecord): Promise<void> {
  const id = sandboxId(context, record);
  context.names.remove(id.pod);
  killSandbox(sandboxName(id));
  await context.traffic.forget(record.traffic);
  delete record.traffic;
  await removeSandbox(id);
}

/**
 * Keeps the host's ports of a Pod open.
 * @returns what stands in the way, for people.
 */
export async function openHostPorts(context: NodeContext, record: PodRecord): Promise<string | undefined> {
  const { pod, address } = record;
  const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
  for (const { hostPort, hostIP = "127.0.0.1", containerPort, protocol } of ports) {
    if (hostPort === undefined || hostPort === 0) continue;
    if (protocol !== "TCP") return `host port ${hostPort}: only TCP can be forwarded`;
    const state = context.layout.pod(pod.metadata.uid).forwarder(hostPort);
    if (forwarderRuns(state)) continue;
    mkdirSync(dirname(state), { recursive: true, mode: 0o700 });
    try {
      await startForwarder({
        state,
        hostNetwork: context.options.hostNetwork,
        // Beyond loopback nothing of the host is opened.
        hostAddress: hostIP === "0.0.0.0" || hostIP === "" ? "127.0.0.1" : hostIP,
        hostPort,
        network: namespacePath(fabricName(context.options.instance)),
        address,
        port: containerPort,
      });
    } catch (error) {
      return `host port ${hostPort}: ${messageOf(error)}`;
    }
  }
  return undefined;
}

/** Whether a Pod has ports of the host. */
export function hasHostPorts({ pod }: PodRecord): boolean {
  return pod.spec.containers.some(({ ports = [] }) => ports.some(({ hostPort = 0 }) => hostPort !== 0));
}

/** Closes the host's ports of a Pod. */
export function closeHostPorts(context: NodeContext, { pod }: PodRecord): void {
  const folder = dirname(context.layout.pod(pod.metadata.uid).forwarder(0));
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) stopForwarder(join(folder, name));
}
