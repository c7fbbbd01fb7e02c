import { mkdirSync } from "node:fs";
import { namespace as namespaceKind, type Namespace } from "#api/kubernetes/namespace.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { EventRecorder, type EventText } from "#kube/events.ts";
import { Informer } from "#kube/informer.ts";
import { apiAddress } from "#kube/kubeconfig.ts";
import { AgentTrust } from "../agent-trust.ts";
import { BaseIds } from "../base-ids.ts";
import { ClusterObjects } from "../cluster-objects.ts";
import { ControlPlanes } from "../control-planes.ts";
import { NameFiles } from "../dns/name-files.ts";
import { envoysOf } from "../handover/programs.ts";
import { AgentLayout, baseIdFolder } from "../layout.ts";
import { NameServer } from "../name-server.ts";
import type { ProxyOptions } from "../options.ts";
import type { PodSite } from "../pod-site.ts";
import { PodRecords } from "../records.ts";
import { RevisionFollower } from "../revisions/known.ts";
import { NodeTraffic } from "../traffic/node-traffic.ts";
import { type CniPlaces, installPlugin } from "./cni/install.ts";
import { CniMailbox } from "./cni/mailbox.ts";
import { NewPods, type ProxyStanding } from "./cni/new-pods.ts";
import { nodeGroups, nodeGroupsBeside, proxyGroups } from "./control-groups.ts";
import { hijackName } from "./hijack-name.ts";
import { ManagedPods } from "./managed-pods.ts";
import { ManagedStatus } from "./managed-status.ts";
import { PodPlaces } from "./pod-places.ts";
import { ProbeRules } from "./probe-rules.ts";
import { isSelected } from "./selection.ts";
import type { ManagedRecord } from "./record.ts";

/** What the agent of a node of a real cluster is told. */
export interface NodeAgentOptions extends ProxyOptions {
  /** URL of the cluster's API server, or path of a kubeconfig. */
  readonly api: string;
  /** Where its CNI plugin is put; absent for none. */
  readonly cni?: CniPlaces;
}

/** What it needs of the machine. */
export interface NodeAgentContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

function siteOf(places: PodPlaces, uid: string): PodSite {
  const place = places.find(uid);
  if (!place) throw new WeftError("Unavailable", `no process of the Pod ${uid} is on this node`);
  const beside = place.process ? [] : nodeGroupsBeside(place.groups);
  return { network: place.network, groups: [...proxyGroups(place.groups), ...beside], mounts: [] };
}

/** The node's name server, which runs while a Pod looks up names at it; one that an agent of another version started is replaced. */
function nameServerOf(
  { version }: NodeAgentOptions,
  names: NameFiles,
  layout: AgentLayout,
  { clock, logger }: NodeAgentContext,
): NameServer {
  const needed = (): boolean => !names.empty;
  const options = { hostNetwork: "/proc/1/ns/net", resolvers: [], version, groups: nodeGroups(), needed };
  return new NameServer(options, layout, clock, logger);
}

/**
 * Gives Pods of a node that a kubelet runs their sidecars, until the signal aborts. It must run in the node's own network and see all of
 * its processes. Sidecars outlive it: the next agent with the same state folder takes them over.
 */
export async function runNodeAgent(
  options: NodeAgentOptions,
  context: NodeAgentContext,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger } = context;
  const { node, xdsTls = false } = options;
  const layout = new AgentLayout(options);
  for (const folder of [options.stateDir, options.runDir, layout.names])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  using connection = new Connection(await apiAddress(options.api), { clock });
  const client = new Client(connection);
  const events = new EventRecorder(client, `weft-node-agent, ${node}`, clock, logger);
  const tell = (pod: Pod, text: EventText): void => events.record(pod, text);
  const trust = new AgentTrust(options, layout, { client, clock, logger });
  const rootNamespace = options.trust?.rootNamespace;
  const objects = new ClusterObjects({ client, node, ...(rootNamespace && { rootNamespace }), clock, logger });
  const backoff = { initialMs: 50, maxMs: 1000 };
  const namespaces = new Informer({
    client: client.of<Namespace>(namespaceKind),
    selection: {},
    clock,
    logger,
    backoff,
  });
  using identities = trust.identities();
  const names = new NameFiles(layout.names);
  using nameServer = nameServerOf(options, names, layout, context);
  const places = new PodPlaces(clock);
  const planes = new ControlPlanes({ ...(xdsTls && { trust: trust.files }), logger });
  const revisions = new RevisionFollower({ client, xds: options.xds, clock, logger });
  const status = new ManagedStatus(client, (uid) => pods.get(uid), clock, logger);
  await using pods = new ManagedPods(
    {
      options,
      layout,
      clock,
      logger,
      places,
      probes: new ProbeRules(),
      records: new PodRecords<ManagedRecord>(layout),
      traffic: new NodeTraffic({
        ...(options.hijackPrograms !== undefined && { programs: options.hijackPrograms }),
        name: hijackName(node),
        clock,
        logger,
      }),
      baseIds: new BaseIds(baseIdFolder),
      names,
      site: ({ metadata: { uid } }) => siteOf(places, uid),
      xds: ({ upstream }) => planes.at(upstream?.address ?? options.xds),
      upstream: (pod) => {
        const { namespace = "", labels = {} } = pod.metadata;
        // While its namespace is not known, it stays with whom it has.
        const found = namespaces.get({ name: namespace });
        return found && revisions.upstream({ namespace, labels, namespaceLabels: found.metadata.labels ?? {} });
      },
      ...(identities && { identities }),
      ...envoysOf(options, layout),
      tell,
    },
    { changed: (uid) => status.changed(uid), gone: (pod) => status.gone(pod) },
    (name) => namespaces.get({ name })?.metadata.labels ?? {},
  );
  objects.roots?.onChange(({ before, after }) => {
    if (after === undefined) return;
    trust.published(after);
    identities?.published(before, after);
  });
  await pods.adopt();
  const labelsOf = (name: string): StringMap => {
    const found = namespaces.get({ name });
    if (!found) throw new WeftError("Unavailable", `the namespace ${name} is not known yet`);
    return found.metadata.labels ?? {};
  };
  const known = (namespace: string, name: string): Pod | undefined => objects.pods.get({ namespace, name });
  const standing = (uid: string): ProxyStanding => {
    const managed = pods.get(uid);
    if (managed?.stays !== true) return "gone";
    return managed.view().proxyReady && status.saysReady(uid) ? "ready" : "waiting";
  };
  const news = new NewPods({ client, known, namespaceLabels: labelsOf, pods, standing, tell, clock });
  let authority = options.identity?.ca;
  // Where a management plane says where its revisions are, the one that was told at the start may end.
  const followAuthority = (stable: string | undefined): void => {
    if (stable === undefined || stable === authority) return;
    authority = stable;
    identities?.move(stable);
  };
  logger.info("giving the node's Pods their sidecars", { node });
  await Promise.all([
    pods.run(signal),
    status.run(signal),
    objects.run(signal),
    namespaces.run(signal),
    trust.run(signal),
    nameServer.run(signal),
    follow(objects, namespaces, pods, signal),
    revisions.run(() => {
      followAuthority(revisions.stable);
      pods.wakeAll();
    }, signal),
    options.cni && serveCni(options.cni, news, namespaces, context, signal),
  ]);
}

/** How often the node's chain of plugins is looked at: others may write it anew. */
const lookMs = 5000;

/** Serves the CNI plugin and keeps it in the node's chain. It stays when the agent ends: what it guards goes on. */
async function serveCni(
  places: CniPlaces,
  news: NewPods,
  namespaces: Informer<Namespace>,
  { clock, logger }: NodeAgentContext,
  signal: AbortSignal,
): Promise<void> {
  const mailbox = new CniMailbox(places.mailbox, async (request) => news.add(request), { clock, logger });
  const aborted = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => aborted.resolve(), { once: true });
  // Before all namespaces are known, what an earlier agent noted holds.
  await Promise.race([namespaces.synced, aborted.promise]);
  if (signal.aborted) return;
  const select = (): void => {
    const names = namespaces.list().map(({ metadata }) => metadata);
    const chosen = names.filter(({ name, labels = {} }) => isSelected(name, labels));
    mailbox.select(new Set(chosen.map(({ name }) => name)));
  };
  select();
  using _select = namespaces.onChange(select);
  let told: string | undefined;
  const install = (): void => {
    try {
      if (installPlugin(places))
        logger.info("the CNI plugin is in the node's chain", { folder: places.configurations });
      told = undefined;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== told) logger.warn("the CNI plugin is not installed", { error: problem });
      told = problem;
    }
  };
  const served = mailbox.run(signal);
  install();
  using _install = clock.every(lookMs, install);
  await served;
}

/** Hands Pods over as the API has them, once their namespaces are known too: before, nothing is decided. */
async function follow(
  objects: ClusterObjects,
  namespaces: Informer<Namespace>,
  managed: ManagedPods,
  signal: AbortSignal,
): Promise<void> {
  const aborted = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => aborted.resolve(), { once: true });
  await Promise.race([Promise.all([objects.pods.synced, namespaces.synced]), aborted.promise]);
  if (signal.aborted) return;
  managed.sync(objects.pods.list());
  objects.pods.onChange(({ before, after }) => {
    if (signal.aborted) return;
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) managed.drop(before);
    if (after !== undefined) managed.put(after);
  });
  namespaces.onChange(({ after }) => {
    if (signal.aborted || after === undefined) return;
    for (const pod of objects.pods.list(after.metadata.name)) managed.put(pod);
  });
}
