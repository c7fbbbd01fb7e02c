import { randomUUID } from "node:crypto";
import type { MeshConfigState } from "#api/istio/mesh-config.ts";
import { untranslatedKinds } from "#api/untranslated.ts";
import { egressScope } from "#api/weft/egress-scope.ts";
import type { MeshAuthority } from "#api/weft/mesh.ts";
import type { RevisionReport } from "#api/weft/revision-report.ts";
import { aborted } from "#base/aborted.ts";
import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { collectWhenIdle } from "#base/idle-collection.ts";
import type { Logger } from "#base/logger.ts";
import { AddressAllocator } from "#controllers/addresses/allocator.ts";
import { installedLabels } from "#controllers/revisions/removed.ts";
import { RevisionTablePublisher } from "#controllers/revisions/table-publisher.ts";
import { type ControlPlaneAddress, publishControlPlane } from "#controllers/reach/published.ts";
import { runCrdSync } from "#controllers/crd-sync/controller.ts";
import { runSidecarUpgrades } from "#controllers/sidecar-upgrades/controller.ts";
import { Engine } from "#incremental/engine.ts";
import { Client } from "#kube/client.ts";
import { Connection, type ServerAddress } from "#kube/connection.ts";
import { apiAddress } from "#kube/kubeconfig.ts";
import type { TrustDomains } from "#identity/spiffe.ts";
import { createModel } from "#model/model.ts";
import { only } from "#model/services.ts";
import { JwksKeeper } from "#sources/jwks/keeper.ts";
import { KeptKeys } from "#sources/jwks/kept.ts";
import { type Companion, together } from "#sources/members/companion.ts";
import { Members } from "#sources/members/members.ts";
import type { Audience } from "#sources/feed.ts";
import { Intake } from "#sources/intake.ts";
import { followMesh, istioKinds } from "#sources/mesh.ts";
import { ClusterStatusWriter } from "#status/cluster.ts";
import { MeshStatusWriter, type ProxyCounts } from "#status/mesh.ts";
import { ProxyEventWriter } from "#status/proxy-events.ts";
import { StatusWriter } from "#status/writer.ts";
import { createTranslator } from "#translate/translator.ts";
import { type ListenAddress } from "#grpc/listen.ts";
import { createXdsServer, type XdsServer } from "#xds/server.ts";
import { ownProcess } from "#runtime/process-mark.ts";
import { OnDemand } from "./on-demand.ts";
import { forgetting, inOneReplica } from "./one-for-all.ts";
import { ProxyApi } from "./proxy-api.ts";
import { ProxyApiServer } from "./proxy-api-server.ts";
import { proxyEvent } from "./proxy-finding.ts";
import { type IdentityContext, type IdentityOptions, MeshIdentity } from "./identity/mesh-identity.ts";
import { SecretRefusals } from "./identity/secret-refusals.ts";
import { holdersOf } from "./holders.ts";
import { Replicas } from "./replicas.ts";
import { listedFindings } from "./proxy-list.ts";
import { configurationFigures } from "./reports/configuration-figures.ts";
import { happenings } from "./reports/happenings.ts";
import { ProxyLogs } from "./reports/proxy-logs.ts";
import { reportFigures } from "./reports/report-figures.ts";
import { countsTold } from "./reports/told-counts.ts";
import { ProxyReports } from "./reports/reports.ts";
import { EndpointTruth } from "./reports/truth.ts";
import { reportOf, RevisionReporter } from "./revision-reporter.ts";
import { synced } from "./synced.ts";
import { Verdicts } from "./verdicts.ts";
import type { InjectorOptions } from "./webhooks/injector.ts";
import { MeshWebhooks } from "./webhooks/webhooks.ts";

/** What a control plane is told. */
export interface DiscoveryOptions {
  /** URL of the mesh's API, or path of a kubeconfig that names it. */
  readonly meshApi: string;
  /** Kubeconfigs of clusters' APIs by the clusters' names; others are reached as their `Cluster` objects say. */
  readonly clusterApis?: ReadonlyMap<string, string>;
  /** Whether `Cluster` objects may name Unix sockets of this machine, where whoever opens them may do everything; they may unless told. */
  readonly clusterSockets?: boolean;
  /** Name of the `Mesh` object. */
  readonly mesh: string;
  /** Proxies that are served at once over one address; 20,000 unless told. */
  readonly maxProxies?: number;
  /** Where xDS is served, and over TLS the certificate service too; in plain text on Unix sockets and loopback only. */
  readonly xds: readonly ListenAddress[];
  /** How the mesh's identities are kept; needed for addresses with TLS. Without it the mesh has no authority. */
  readonly identity?: IdentityOptions;
  /** Where the admission webhooks of clusters are served, over TLS; needs `identity`. */
  readonly webhooks?: ListenAddress;
  /** How Pods and API servers of members reach it, told in the mesh's API; nothing is told unless set. */
  readonly reached?: Omit<ControlPlaneAddress, "revision">;
  /** The revision that this control plane is: `default` unless told. */
  readonly revision?: string;
  /** The version of Weft that it runs. */
  readonly version: string;
  /** The cluster in which it is told how the revision stands, as who installed it there wants to know; told nowhere unless set. Needs `replica`. */
  readonly ownCluster?: string;
  /** Unix socket of the API of proxies. */
  readonly statusSocket: string;
  /**
   * An address of this machine on which API servers of other machines are told of proxies, over TLS. Needs `replica`, whose Lease tells
   * the address, and a mesh's API that is reached by a kubeconfig with its authority. They are not told unless there is one.
   */
  readonly statusAddress?: { readonly host: string; readonly port: number };
  /** This replica's name, where several control planes of the mesh run side by side; it is the only one unless told. */
  readonly replica?: string;
  /** Milliseconds to wait, once the mesh's API has answered, for clusters that are away, before proxies are served without them. */
  readonly startLimitMs: number;
  /** Milliseconds that a proxy may hold other endpoints than it was sent before that is told; 30 seconds unless told. */
  readonly endpointsStaleMs?: number;
}

/** What it needs of the machine. */
export interface DiscoveryContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

async function memberAddresses({ clusterApis = new Map() }: DiscoveryOptions): Promise<Map<string, ServerAddress>> {
  const read = [...clusterApis].map(async ([name, file]) => [name, await apiAddress(file)] as const);
  return new Map(await Promise.all(read));
}

/** How many proxies there are findings about. */
function misbehaving(xds: XdsServer): number {
  return new Set(xds.findings().map(({ node }) => node)).size;
}

/** Whether all proxies hold the newest of everything. */
function isTold(xds: XdsServer): boolean {
  const { connected, inSync } = xds.standings();
  return !xds.busy && inSync === connected;
}

/** The webhooks, where they are to be served. */
function meshWebhooks(
  { webhooks: address, revision = "default" }: DiscoveryOptions,
  identity: MeshIdentity,
  context: Omit<InjectorOptions, "revision">,
): MeshWebhooks | undefined {
  if (!address) return undefined;
  const { rootNamespace } = context.model.services.mesh.get(only);
  return new MeshWebhooks({ ...context, address, revision, rootNamespace, roots: () => identity.roots });
}

/** A companion of members that is told of none of their objects. */
function following(follow: Companion["follow"]): Companion {
  return { audience: () => ({ seen: () => undefined, gone: () => undefined }), left: () => undefined, follow };
}

/** Says in the mesh's API how members reach the control plane, as soon as that can be written. */
async function tellReached(
  { reached, ownCluster, revision = "default" }: DiscoveryOptions,
  { client, clock, logger }: DiscoveryContext & { readonly client: Client },
  signal: AbortSignal,
): Promise<void> {
  if (!reached) return;
  const installed = ownCluster === undefined ? {} : installedLabels(ownCluster, revision);
  const backoff = new Backoff({ initialMs: 200, maxMs: 30_000 });
  while (!signal.aborted) {
    try {
      await publishControlPlane(client, { revision, ...reached }, installed);
      return;
    } catch (error) {
      if (signal.aborted) return;
      logger.warn("it cannot be written how members reach the control plane; trying again", {
        error: messageOf(error),
      });
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
    }
  }
}

/** Tells the cluster that the control plane was installed into how it stands, once it serves. */
function reporter(
  { ownCluster, replica, revision = "default" }: DiscoveryOptions,
  serving: Promise<() => RevisionReport>,
  context: DiscoveryContext,
): readonly Companion[] {
  if (ownCluster === undefined || replica === undefined) return [];
  return [
    following(async (cluster, client, signal) => {
      if (cluster !== ownCluster) return;
      const report = await Promise.race([serving, aborted(signal)]);
      if (report) await new RevisionReporter({ client, revision, replica, report, ...context }).run(signal);
    }),
  ];
}

/** @throws WeftError `InvalidArgument` where API servers of other machines could not find this control plane, or it them. */
function checkStatusAddress({ statusAddress, replica }: DiscoveryOptions, { ca }: ServerAddress): void {
  if (!statusAddress) return;
  const { host } = statusAddress;
  if (host === "0.0.0.0" || host === "::") {
    throw new WeftError(
      "InvalidArgument",
      `--status-address ${host}: give the address by which API servers reach this machine`,
    );
  }
  if (replica === undefined) {
    throw new WeftError(
      "InvalidArgument",
      "--status-address needs --replica, whose Lease tells API servers the address",
    );
  }
  if (ca === undefined) {
    const fix = "give --mesh-api a kubeconfig that has certificate-authority-data";
    throw new WeftError("InvalidArgument", `--status-address needs the authority of the mesh's API: ${fix}`);
  }
}

/** Milliseconds to wait at the start for keys of tokens. */
const keysLimitMs = 6000;
/** Milliseconds between looks at whether certificates have expired. */
const timeStepMs = 60_000;

/**
 * Runs a mesh's control plane until the signal aborts: sources, model, translation, xDS, and the API of proxies.
 * Nothing is served before the state has been read: a proxy that reconnects would lose what is not known yet.
 */
export async function runDiscovery(
  options: DiscoveryOptions,
  context: DiscoveryContext,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger } = context;
  const engine = new Engine();
  const model = createModel(engine);
  model.inputs.setTime(clock.now());
  using _time = clock.every(timeStepMs, () => model.inputs.setTime(clock.now()));
  using _collection = collectWhenIdle(clock);
  const source = createTranslator(engine, model);
  const verdicts: Verdicts = new Verdicts(engine, model, source, (keys) => statuses.recheck(keys));
  const meshAddress = await apiAddress(options.meshApi);
  checkStatusAddress(options, meshAddress);
  using connection = new Connection(meshAddress, { clock });
  const client = new Client(connection);
  const kinds = [...istioKinds, ...untranslatedKinds, egressScope];
  const statuses = new StatusWriter({ client, kinds, verdict: (ref) => verdicts.of(ref), clock, logger });
  const addresses = new AddressAllocator({ client, clock, logger });
  const member = (name: string): Client | undefined => members.client(name);
  const onDemand = new OnDemand({ client, member, model, source, clock, logger });
  const audience: Audience = {
    seen: (object) => {
      onDemand.seen(object);
      addresses.seen(object);
      verdicts.seen(object);
      statuses.seen(object);
    },
    gone: (object) => {
      onDemand.gone(object);
      addresses.gone(object);
      verdicts.gone(object);
      statuses.gone(object);
    },
  };
  let serving: XdsServer | undefined;
  using intake = new Intake({ engine, clock, logger, busy: () => serving?.busy === true });
  const sourceContext = { intake, clock, logger };
  let replicas: Replicas | undefined;
  const proxies = (): ProxyCounts | undefined =>
    replicas?.counts ?? (serving && { ...serving.standings(), misbehaving: misbehaving(serving) });
  const identityContext = (): IdentityContext => {
    const { rootNamespace } = model.services.mesh.get(only);
    const trustDomains = (): TrustDomains => {
      const { trustDomain: own, trustDomainAliases: aliases } = model.services.mesh.get(only);
      return { own, aliases };
    };
    return {
      client,
      rootNamespace,
      trustDomains,
      members: () => members.clients(),
      readsSecrets: (node) => source.readsSecrets(node),
      unread: () => members.unread(),
      clock,
      logger,
    };
  };
  const authority = (): MeshAuthority | undefined => identity?.authority;
  const remoteSecrets = (): readonly string[] => members.remoteProblems();
  const standing = { proxies, authority, remoteSecrets };
  const meshStatus = new MeshStatusWriter({ client, mesh: options.mesh, ...standing, clock, logger });
  const revised = options.revision === undefined ? {} : { revision: options.revision };
  const took = (state: MeshConfigState): void => meshStatus.took(state);
  const mesh = followMesh(client, model, options.mesh, { ...sourceContext, ...revised, audience, took }, signal);
  const clusterStatus: ClusterStatusWriter = new ClusterStatusWriter({
    client,
    standing: (name) => members.standing(name),
    clock,
    logger,
  });
  await using identity = options.identity && new MeshIdentity(options.identity, identityContext());
  const webhooks = identity && meshWebhooks(options, identity, { client, model, clock, logger });
  const tables = new RevisionTablePublisher({ client, clock, logger });
  const reporting = Promise.withResolvers<() => RevisionReport>();
  const companions = [
    ...(identity ? [identity.companion] : []),
    ...(webhooks ? [webhooks.companion] : []),
    ...reporter(options, reporting.promise, context),
    following((cluster, member, until) => tables.follow(cluster, member, until)),
  ];
  const membersContext = {
    ...sourceContext,
    client,
    model,
    namespace: model.services.mesh.get(only).rootNamespace,
    companion: together(...companions),
    addresses: await memberAddresses(options),
    sockets: options.clusterSockets !== false,
    told: () => !intake.waits && (!serving || isTold(serving)),
    changed: (name: string) => {
      clusterStatus.changed(name);
      meshStatus.changed();
    },
  };
  const members: Members = new Members(membersContext, signal);
  // What cannot be read of an API that is there may be done without; while it is away, proxies would be told that there is nothing.
  await synced([mesh.answered], undefined, context, signal);
  await synced([mesh.synced, members.synced], options.startLimitMs, context, signal);
  const { rootNamespace } = model.services.mesh.get(only);
  const kept = await KeptKeys.open({ client, namespace: rootNamespace, clock, logger });
  using jwks = new JwksKeeper({ engine, model, kept, clock, logger });
  using refusals = identity && new SecretRefusals({ engine, model, rights: identity.rights, clock, logger });
  const fetching = Promise.all([jwks.run(signal), kept.run(signal), refusals?.run(signal)]);
  await synced([jwks.asked(signal)], Math.min(options.startLimitMs, keysLimitMs), context, signal);
  signal.throwIfAborted();
  // Not before the mesh's settings are known: an authority that is made says its trust domain.
  const identityDone = identity?.run(signal);
  // What keeps the authority from signing is told while it is waited for.
  using _authority = identity?.onChange(() => meshStatus.changed());
  const served = Promise.withResolvers<void>();
  using reports = new ProxyReports({ clock, logger });
  const told = countsTold(reports);
  const leading = inOneReplica(
    options,
    { client, rootNamespace, ...context },
    async (turn) => {
      const programmed = async (): Promise<void> => {
        await served.promise;
        await statuses.run(() => holdersOf(proxies()), turn);
      };
      await Promise.all([
        meshStatus.run(turn),
        clusterStatus.run(turn),
        addresses.run(turn),
        identity?.rotate(turn),
        runSidecarUpgrades({ client, member, told, clock, logger }, turn),
        forgetting(options, { client, member, clock, logger }, turn),
        programmed(),
      ]);
    },
    signal,
  );
  using secured = await identity?.serve(signal);
  const webhooksDone = webhooks?.run(signal);
  using _bundle = identity?.onChange(() => webhooks?.changed());
  await using _webhooks = secured && (await webhooks?.serve(secured.credentials, signal));
  const { demand } = onDemand;
  const pressed = (): boolean => intake.waits;
  const limits = options.maxProxies === undefined ? {} : { nodesPerAddress: options.maxProxies };
  const methods = { ...secured?.methods, ...reports.methods(secured?.gatekeeper) };
  const serve = { source, engine, clock, logger, demand, pressed, limits, listen: options.xds, ...secured, methods };
  await using xds = await createXdsServer(serve);
  serving = xds;
  const { endpointsStaleMs: staleMs } = options;
  const compared = {
    reports,
    proxies: xds,
    members: () => members.clients(),
    clock,
    ...(staleMs !== undefined && { staleMs }),
  };
  using truth: EndpointTruth = new EndpointTruth({ ...compared, changed: () => tellEvents() });
  const events = new ProxyEventWriter({ member, clock, logger });
  const tellEvents = (): void => {
    const found = listedFindings({ proxies: xds, truth }).flatMap((finding) => proxyEvent(finding) ?? []);
    events.standing([...found, ...happenings(reports.all(), xds.refusing(), clock.now())]);
  };
  using _happened = reports.onReport(({ report: now }, before) => {
    if (now.restarts !== before?.report.restarts || now.silent !== before.report.silent) tellEvents();
  });
  using logs = new ProxyLogs({ reports, clusterClient: member, clock });
  const isConnected = (id: string): boolean => xds.connected(id);
  const report = (): RevisionReport =>
    reportOf({ version: options.version, proxies: xds, findings: () => verdicts.all(), clock });
  await using api = await ProxyApi.listen({
    report,
    socketPath: options.statusSocket,
    proxies: xds,
    reports,
    truth,
    logs,
    revision: options.revision ?? "default",
    held: ({ node, virtualHosts }) => source.discovery(node, virtualHosts),
    sidecar: (...pod) => (identity ? identity.sidecar(...pod) : {}),
    clusterClient: member,
    clock,
    metrics: () => ({
      ...xds.figures(),
      ...reportFigures(reports.all(), isConnected, (held) => truth.verdict(held)),
      ...configurationFigures(xds.proxies()),
    }),
  });
  using _refusals = verdicts.follow(xds, source);
  const own = (): ProxyCounts => ({ ...xds.standings(), misbehaving: misbehaving(xds) });
  const { replica: name, statusAddress, revision = "default" } = options;
  reporting.resolve(report);
  const { ca: clients = "" } = meshAddress;
  await using elsewhere =
    statusAddress && (await ProxyApiServer.listen({ ...statusAddress, clients, answer: api.answer, clock }));
  const changed = (): void => meshStatus.changed();
  const move = (count: number): void => xds.move(count);
  const among =
    name === undefined
      ? undefined
      : {
          name,
          revision,
          client,
          namespace: rootNamespace,
          own,
          move,
          ...(elsewhere && { api: elsewhere.place }),
          changed,
          clock,
          logger,
        };
  replicas = among && new Replicas(among);
  using _proxies = xds.onChange(() => {
    meshStatus.changed();
    tellEvents();
  });
  served.resolve();
  logger.info("serving proxies", { listen: xds.addresses });
  await Promise.all([
    mesh.done,
    members.done,
    fetching,
    replicas?.run(signal),
    events.run(signal),
    onDemand.run(signal),
    tables.run(signal),
    runCrdSync(
      { client, namespace: rootNamespace, identity: randomUUID(), process: ownProcess(), member, clock, logger },
      signal,
    ),
    identityDone,
    webhooksDone,
    tellReached(options, { client, clock, logger }, signal),
    leading,
  ]);
}
