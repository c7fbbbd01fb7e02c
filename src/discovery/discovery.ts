import type { MeshConfigState } from "#api/istio/mesh-config.ts";
import { untranslatedKinds } from "#api/untranslated.ts";
import { egressScope } from "#api/weft/egress-scope.ts";
import type { MeshAuthority } from "#api/weft/mesh.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { AddressAllocator } from "#controllers/addresses/allocator.ts";
import { Engine } from "#incremental/engine.ts";
import { Client } from "#kube/client.ts";
import { Connection, type ServerAddress } from "#kube/connection.ts";
import { apiAddress } from "#kube/kubeconfig.ts";
import type { TrustDomains } from "#identity/spiffe.ts";
import { createModel } from "#model/model.ts";
import { only } from "#model/services.ts";
import { JwksKeeper } from "#sources/jwks/keeper.ts";
import { KeptKeys } from "#sources/jwks/kept.ts";
import { Members } from "#sources/members.ts";
import type { Audience } from "#sources/feed.ts";
import { Intake } from "#sources/intake.ts";
import { followMesh, istioKinds } from "#sources/mesh.ts";
import { ClusterStatusWriter } from "#status/cluster.ts";
import { MeshStatusWriter, type ProxyCounts } from "#status/mesh.ts";
import { ProxyEventWriter } from "#status/proxy-events.ts";
import type { Holders } from "#status/conditions.ts";
import { StatusWriter } from "#status/writer.ts";
import { createTranslator } from "#translate/translator.ts";
import { type ListenAddress } from "#grpc/listen.ts";
import type { ProxyStandings } from "#xds/port.ts";
import { createXdsServer, type XdsServer } from "#xds/server.ts";
import { OnDemand } from "./on-demand.ts";
import { ProxyApi } from "./proxy-api.ts";
import { proxyEvent } from "./proxy-finding.ts";
import { type IdentityContext, type IdentityOptions, MeshIdentity } from "./identity/mesh-identity.ts";
import { synced } from "./synced.ts";
import { Verdicts } from "./verdicts.ts";

/** What a control plane is told. */
export interface DiscoveryOptions {
  /** URL of the mesh's API, or path of a kubeconfig that names it. */
  readonly meshApi: string;
  /** Kubeconfigs of clusters' APIs by the clusters' names; others are reached as their `Cluster` objects say. */
  readonly clusterApis?: ReadonlyMap<string, string>;
  /** Name of the `Mesh` object. */
  readonly mesh: string;
  /** Where xDS is served, and over TLS the certificate service too; in plain text on Unix sockets and loopback only. */
  readonly xds: readonly ListenAddress[];
  /** How the mesh's identities are kept; needed for addresses with TLS. Without it the mesh has no authority. */
  readonly identity?: IdentityOptions;
  /** Unix socket of the API of proxies. */
  readonly statusSocket: string;
  /** Milliseconds to wait, once the mesh's API has answered, for clusters that are away, before proxies are served without them. */
  readonly startLimitMs: number;
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

function holders({ connected, inSync }: ProxyStandings): Holders {
  return { connected, holding: inSync };
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
  const source = createTranslator(engine, model);
  const verdicts: Verdicts = new Verdicts(engine, model, source, (keys) => statuses.recheck(keys));
  using connection = new Connection(await apiAddress(options.meshApi), { clock });
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
  const proxies = (): ProxyCounts | undefined =>
    serving && { ...serving.standings(), misbehaving: misbehaving(serving) };
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
      unread: () => members.unread(),
      clock,
      logger,
    };
  };
  const authority = (): MeshAuthority | undefined => identity?.authority;
  const meshStatus = new MeshStatusWriter({ client, mesh: options.mesh, proxies, authority, clock, logger });
  const took = (state: MeshConfigState): void => meshStatus.took(state);
  const mesh = followMesh(client, model, options.mesh, { ...sourceContext, audience, took }, signal);
  const clusterStatus = new ClusterStatusWriter({ client, member, clock, logger });
  await using identity = options.identity && new MeshIdentity(options.identity, identityContext());
  const companion = identity && { companion: identity.companion };
  const membersContext = { ...sourceContext, ...companion, addresses: await memberAddresses(options) };
  const members = new Members(client, model, membersContext, (name) => clusterStatus.watch(name), signal);
  // What cannot be read of an API that is there may be done without; while it is away, proxies would be told that there is nothing.
  await synced([mesh.answered], undefined, context, signal);
  await synced([mesh.synced, members.synced], options.startLimitMs, context, signal);
  const { rootNamespace } = model.services.mesh.get(only);
  const kept = await KeptKeys.open({ client, namespace: rootNamespace, clock, logger });
  using jwks = new JwksKeeper({ engine, model, kept, clock, logger });
  const fetching = Promise.all([jwks.run(signal), kept.run(signal)]);
  await synced([jwks.asked(signal)], Math.min(options.startLimitMs, keysLimitMs), context, signal);
  signal.throwIfAborted();
  // Not before the mesh's settings are known: an authority that is made says its trust domain.
  const identityDone = identity?.run(signal);
  // What keeps the authority from signing is told while it is waited for.
  using _authority = identity?.onChange(() => meshStatus.changed());
  const meshStatusDone = meshStatus.run(signal);
  using secured = await identity?.serve(signal);
  const { demand } = onDemand;
  const pressed = (): boolean => intake.waits;
  const serve = { source, engine, clock, logger, demand, pressed, listen: options.xds, ...secured };
  await using xds = await createXdsServer(serve);
  serving = xds;
  await using _api = await ProxyApi.listen({
    socketPath: options.statusSocket,
    proxies: xds,
    held: ({ node, virtualHosts }) => source.discovery(node, virtualHosts),
    certificate: (...pod) => identity?.certificate(...pod),
    clusterClient: member,
    clock,
    metrics: () => ({ ...xds.figures() }),
  });
  using _refusals = verdicts.follow(xds, source);
  const events = new ProxyEventWriter({ member, clock, logger });
  using _proxies = xds.onChange(() => {
    meshStatus.changed();
    events.standing(xds.findings().flatMap((finding) => proxyEvent(finding) ?? []));
  });
  logger.info("serving proxies", { listen: xds.addresses });
  await Promise.all([
    mesh.done,
    members.done,
    fetching,
    clusterStatus.run(signal),
    meshStatusDone,
    events.run(signal),
    statuses.run(() => holders(xds.standings()), signal),
    addresses.run(signal),
    onDemand.run(signal),
    identityDone,
  ]);
}
