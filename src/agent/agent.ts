import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { aborted } from "#base/aborted.ts";
import { parseCidr } from "#base/cidr.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { apiAddress } from "#kube/kubeconfig.ts";
import { EventRecorder } from "#kube/events.ts";
import { ensureBridge, ensureFabric, gatewayOf } from "#runtime/fabric.ts";
import { Addresses } from "./addresses.ts";
import { AgentTrust } from "./agent-trust.ts";
import { AgentApi } from "./api.ts";
import { BaseIds } from "./base-ids.ts";
import { ControlPlane } from "./control-plane.ts";
import { ClusterObjects } from "./cluster-objects.ts";
import { NameFiles } from "./dns/name-files.ts";
import { envoysOf } from "./handover/programs.ts";
import { AgentLayout, baseIdFolder } from "./layout.ts";
import { NameServer } from "./name-server.ts";
import { NodeRegistration } from "./node-registration.ts";
import type { AgentOptions } from "./options.ts";
import { PodManager } from "./pod-manager.ts";
import { embeddedSite } from "./pod-start.ts";
import { Programs } from "./programs.ts";
import { type PodRecord, PodRecords, writeWhole } from "./records.ts";
import { StatusWriter } from "./status-writer.ts";
import { NodeTraffic } from "./traffic/node-traffic.ts";

/** What an agent needs of the machine. */
export interface AgentContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Runs a node's agent until the signal aborts. It must run in the instance's fabric. Pods and proxies outlive it: when it ends, or is
 * killed, they go on, and the next agent with the same state folder takes them over.
 */
export async function runAgent(told: AgentOptions, context: AgentContext, signal: AbortSignal): Promise<void> {
  const { clock, logger } = context;
  // Children enter it too, and to them `self` is another process.
  const hostNetwork = told.hostNetwork.replace(/^\/proc\/self\//, `/proc/${process.pid}/`);
  const options: AgentOptions = { ...told, hostNetwork };
  const layout = new AgentLayout(options);
  mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  using connection = new Connection(await apiAddress(options.api), { clock });
  const client = new Client(connection);
  const registration = new NodeRegistration({ agent: options, socket: layout.socket }, client, clock, logger);
  const podCidr = await knownCidr(layout, async () => registration.podCidr(signal));
  const cidr = parseCidr(podCidr);
  const hostIp = gatewayOf(cidr);
  await ensureFabric(options.instance);
  await ensureBridge({ instance: options.instance, cluster: options.cluster, podCidr });
  using nameServer = new NameServer(options, layout, clock, logger);
  const events = new EventRecorder(client, `weft-agent, ${options.node}`, clock, logger);
  const { node, xdsTls = false } = options;
  const trust = new AgentTrust(options, layout, { client, clock, logger });
  const rootNamespace = options.trust?.rootNamespace;
  const xds = new ControlPlane({ address: options.xds, ...(xdsTls && { trust: trust.files }), logger });
  const objects = new ClusterObjects({ client, node, ...(rootNamespace && { rootNamespace }), clock, logger });
  using identities = trust.identities();
  const writer = new StatusWriter(client, { status: (uid) => manager.status(uid) }, clock, logger);
  const records = new PodRecords<PodRecord>(layout);
  await using manager = new PodManager(
    {
      options,
      layout,
      network: { hostIp, prefix: cidr.prefix },
      clock,
      logger,
      programs: new Programs(options.programs),
      traffic: new NodeTraffic({
        ...(options.hijackPrograms !== undefined && { programs: options.hijackPrograms }),
        name: `${options.instance}-${options.node}`,
        clock,
        logger,
      }),
      records,
      baseIds: new BaseIds(baseIdFolder),
      names: new NameFiles(layout.names),
      site: (pod) => embeddedSite(options.instance, layout, pod),
      xds: () => xds,
      ...(identities && { identities }),
      ...envoysOf(options, layout),
      tell: (pod, text) => events.record(pod, text),
      configMap: async (namespace, name) => objects.configMap(namespace, name),
      secret: async (namespace, name) => objects.secret(namespace, name),
    },
    new Addresses(podCidr),
    {
      changed: (uid) => writer.changed(uid),
      remove: (pod) => writer.remove(pod),
      namespaceLabels: async (name) => objects.namespaceLabels(name),
    },
  );
  await using _api = await AgentApi.listen({
    layout,
    instance: options.instance,
    clock,
    logger,
    find: (namespace, name) => manager.find(namespace, name),
    list: () => manager.records(),
    certificate: (uid) => manager.certificate(uid),
  });
  objects.roots?.onChange(({ before, after }) => {
    if (after === undefined) return;
    trust.published(after);
    identities?.published(before, after);
  });
  await manager.adopt();
  logger.info("running the node's Pods", { node: options.node, podCidr });
  await Promise.all([
    nameServer.run(signal),
    manager.run(signal),
    writer.run(signal),
    objects.run(signal),
    trust.run(signal),
    registration.run(hostIp, podCidr, signal),
    follow(objects, manager, signal),
  ]);
}

/** The node's Pod network as an earlier agent knew it, so that Pods are taken over while the API is away; else as it is registered. */
async function knownCidr(layout: AgentLayout, register: () => Promise<string>): Promise<string> {
  if (existsSync(layout.node)) return (JSON.parse(readFileSync(layout.node, "utf8")) as { podCidr: string }).podCidr;
  const podCidr = await register();
  writeWhole(layout.node, JSON.stringify({ podCidr }));
  return podCidr;
}

/** Hands the node's Pods over as the API has them; only complete knowledge lets Pods end that the API does not have. */
async function follow(objects: ClusterObjects, manager: PodManager, signal: AbortSignal): Promise<void> {
  await Promise.race([objects.pods.synced, aborted(signal)]);
  if (signal.aborted) return;
  manager.sync(objects.pods.list());
  objects.pods.onChange(({ before, after }) => {
    if (signal.aborted) return;
    // A Pod that was removed and made anew under its name may show as one change.
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) manager.drop(before);
    if (after !== undefined) manager.put(after);
  });
}
