import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Kind } from "#api/kind.ts";
import { Validator } from "#api/validation.ts";
import type { Partition, ResourceStore } from "#store/port.ts";
import { Watches, type Access, type AccessOptions } from "./access.ts";
import { ServiceAddresses } from "./admission/service-addresses.ts";
import { SparingLog } from "#base/sparing-log.ts";
import { Authenticator } from "./authentication/authenticator.ts";
import { ClientCertificates } from "./authentication/client-certificates.ts";
import { documentFetcher } from "./authentication/fetch-document.ts";
import { OidcIssuer } from "./authentication/oidc.ts";
import { AggregatedRoles } from "./authorization/aggregated-roles.ts";
import { Authorizer } from "./authorization/authorizer.ts";
import { ensureDefaultRoles, ensureMemberRole } from "./authorization/default-roles.ts";
import { WithdrawnRights } from "./authorization/withdrawn-rights.ts";
import { Collector } from "./collector/collector.ts";
import { runController } from "./collector/controller.ts";
import { EventExpiry } from "./collector/events.ts";
import { NamespaceController } from "./collector/namespaces.ts";
import type { Context, EndpointView } from "./context.ts";
import { DiscoveryDocuments } from "./discovery/documents.ts";
import { Endpoint } from "./endpoint.ts";
import { MergeTypes } from "./fields/merge-type.ts";
import type { Aggregation } from "./handlers/aggregated.ts";
import type { VersionInfo } from "./handlers/health.ts";
import { OpenApiDocuments } from "./handlers/openapi.ts";
import { reviewGroups } from "./handlers/reviews.ts";
import { Limits } from "./limits.ts";
import type { ListenAddress } from "./listener.ts";
import { MemberApis } from "./members/apis.ts";
import { MeshNamespaces, type NamespacesOptions } from "./members/namespaces.ts";
import { Authority } from "./pki/authority.ts";
import { Revocations } from "./pki/revocations.ts";
import { create } from "./registry/create.ts";
import { ServedKinds } from "./served-kinds.ts";
import { IssuerKeys } from "./tokens/issuer-keys.ts";
import { ServiceAccountTokens } from "./tokens/service-account-tokens.ts";

/** An endpoint of the API server: a view of the store with addresses of its own. */
export interface EndpointOptions {
  /** `mesh`, or the cluster's name; for logs and for `ApiServer.endpoints`. */
  readonly name: string;
  readonly view: EndpointView;
  /** Where its own objects are kept: `mesh`, or `cluster/NAME`. */
  readonly partition: Partition;
  /** Loopback addresses and Unix sockets. */
  readonly listen: readonly ListenAddress[];
  /** The range of its Services' addresses, such as `10.110.0.0/16`; one for a partition. Without one, Services get none. */
  readonly serviceRange?: string;
  /** Namespaces that are made if they are not there; `default` and `kube-system` unless told. */
  readonly namespaces?: readonly string[];
  /** Service accounts that are made if they are not there, in namespaces of the list before. */
  readonly accounts?: readonly { readonly namespace: string; readonly name: string }[];
  /** The `iss` of its service accounts' tokens; `https://NAME.weft.internal` unless told. */
  readonly issuer?: string;
}

/** What an API server is made of. */
export interface ApiServerOptions {
  /** Closed by its owner, after the server. */
  readonly store: ResourceStore;
  readonly kinds: readonly Kind[];
  readonly endpoints: readonly EndpointOptions[];
  /** Groups that other servers serve; every endpoint passes their requests on. */
  readonly aggregated?: readonly Aggregation[];
  /** Where the API servers of member clusters reach the mesh's API, and which clusters there are; they do not unless told. */
  readonly members?: { readonly listen: ListenAddress } & Pick<NamespacesOptions, "clusters">;
  /** Requests are authenticated and authorized, over TLS; else whoever reaches an endpoint may do everything. */
  readonly access?: AccessOptions;
  /** Folder of what endpoints keep for themselves, such as keys; without one, that lives as long as the server. */
  readonly stateDir?: string;
  /**
   * Runs what must run in one server alone where several share the store: calls `work` when it is this one's turn, with a signal that
   * aborts when the turn is over. Every server's turn unless told.
   */
  readonly alone?: (work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal) => Promise<void>;
  /** What `/version` says. */
  readonly version: VersionInfo;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A running API server. Disposing ends watches, lets requests finish, and takes the listeners away. */
export interface ApiServer extends AsyncDisposable {
  /** Where each endpoint listens, by name, with real ports. */
  readonly endpoints: ReadonlyMap<string, readonly ListenAddress[]>;
  /** Who signs certificates of each endpoint and its clients, by name; none where nobody is asked. */
  readonly authorities: ReadonlyMap<string, Authority>;
  /** The mesh's API as member clusters serve it; absent where none do. */
  readonly members: MemberApis | undefined;
}

/** What endpoints of one partition share. */
type Shared = Pick<Context, "validator" | "mergeTypes"> & { readonly addresses: Map<Partition, ServiceAddresses> };

function contextOf(options: ApiServerOptions, endpoint: EndpointOptions, shared: Shared): Context {
  const { store, clock, logger, kinds } = options;
  const { name, view, partition, serviceRange } = endpoint;
  const { validator, mergeTypes, addresses } = shared;
  if (serviceRange !== undefined && !addresses.has(partition)) {
    addresses.set(partition, new ServiceAddresses(store, partition, serviceRange));
  }
  const tokens = view === "cluster" ? tokensOf(options, endpoint) : undefined;
  return {
    store,
    clock,
    logger,
    validator,
    mergeTypes,
    endpoint: name,
    view,
    partition,
    kinds: new ServedKinds(kinds, view),
    addresses: addresses.get(partition),
    access: options.access === undefined ? undefined : accessOf(options, options.access, endpoint, tokens),
    tokens,
  };
}

function accessOf(
  { stateDir, store, clock, logger }: ApiServerOptions,
  { serverNames = [], anonymous = false, oidc = [], limits = {} }: AccessOptions,
  { name, partition }: EndpointOptions,
  tokens: ServiceAccountTokens | undefined,
): Access {
  const folder = stateDir === undefined ? undefined : join(stateDir, name);
  const providers = oidc.map((one) => new OidcIssuer(one, documentFetcher(one.ca), clock));
  const authorizer = new Authorizer(store, partition);
  const revocations = Revocations.open(folder);
  const certificates = new ClientCertificates(revocations, clock);
  const refusals = new SparingLog(logger.with({ endpoint: name }), clock);
  return {
    authority: Authority.open(folder, name, clock),
    authenticator: new Authenticator({ certificates, tokens, oidc: providers, anonymous, refusals }),
    authorizer,
    watches: new Watches(authorizer),
    limits: new Limits(limits, clock),
    certificates,
    revocations,
    serverNames,
  };
}

function tokensOf({ stateDir, store, clock }: ApiServerOptions, endpoint: EndpointOptions): ServiceAccountTokens {
  const { name, partition, issuer = `https://${name}.weft.internal` } = endpoint;
  const file = stateDir === undefined ? undefined : join(stateDir, name, "token-keys.json");
  return new ServiceAccountTokens(issuer, IssuerKeys.open(file, clock), store, partition, clock);
}

/**
 * Serves a store as Kubernetes-style APIs over HTTP, one for each endpoint, and runs what such an API does by itself:
 * namespaces come and go with what is in them, objects go with their owners, and events when they are old.
 *
 * Without `access` requests are not authenticated, and endpoints listen only where no other machine and no other user can
 * reach them.
 *
 * ```ts
 * await using store = await openSqliteStore({ path, clock: systemClock, logger });
 * await using server = await createApiServer({
 *   store,
 *   kinds,
 *   endpoints: [
 *     { name: "mesh", view: "mesh", partition: "mesh", listen: [{ host: "127.0.0.1", port: 0 }] },
 *     {
 *       name: "east",
 *       view: "cluster",
 *       partition: "cluster/east",
 *       listen: [{ socketPath: "/run/weft/demo/api-east.sock" }],
 *       serviceRange: "10.110.0.0/16",
 *     },
 *   ],
 *   version,
 *   clock: systemClock,
 *   logger,
 * });
 * ```
 * @throws WeftError `PermissionDenied` for an address that others can reach, `Unavailable` for one that is taken,
 * `InvalidArgument` for a service range that is none.
 */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { aggregated = [], version } = options;
  const shared: Shared = { validator: new Validator(), mergeTypes: new MergeTypes(), addresses: new Map() };
  await using started = new AsyncDisposableStack();
  const addresses = new Map<string, readonly ListenAddress[]>();
  const authorities = new Map<string, Authority>();
  const contexts = new Map<Partition, Context>();
  for (const endpoint of options.endpoints) {
    const context = contextOf(options, endpoint, shared);
    await ensure(
      context,
      "Namespace",
      (endpoint.namespaces ?? ["default", "kube-system"]).map((name) => ({ name })),
    );
    await ensure(context, "ServiceAccount", endpoint.accounts ?? []);
    if (context.access !== undefined) await ensureDefaultRoles(context);
    const routes = {
      discovery: new DiscoveryDocuments(context.kinds, [...reviewGroups, ...aggregated]),
      openapi: new OpenApiDocuments(context.kinds),
      version,
      aggregated,
    };
    if (context.access !== undefined) started.use(runWithdrawals(context, context.access));
    const running = started.use(await Endpoint.start(context, routes, endpoint.listen));
    addresses.set(endpoint.name, running.addresses);
    if (context.access !== undefined) authorities.set(endpoint.name, context.access.authority);
    // Endpoints of one partition share its controllers.
    if (!contexts.has(context.partition)) contexts.set(context.partition, context);
  }
  for (const context of contexts.values()) started.use(maintenance(context));
  const namespaces = namespacesOf(options, [...contexts.values()]);
  started.use(runControllers([...contexts.values()], namespaces, options));
  const members = await startMembers(options, [...contexts.values()], namespaces);
  if (members !== undefined) started.use(members);
  const owned = started.move();
  return { endpoints: addresses, authorities, members, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Who of the mesh has which namespace, where member clusters have them too. */
function namespacesOf({ members }: ApiServerOptions, contexts: readonly Context[]): MeshNamespaces | undefined {
  const shared = contexts.find(({ view }) => view === "mesh");
  if (members === undefined || shared === undefined) return undefined;
  const { clusters } = members;
  return new MeshNamespaces({ ...shared, ...(clusters === undefined ? {} : { clusters }) });
}

/** Serves the mesh's API to member clusters, where that is asked for. */
async function startMembers(
  { members, stateDir, kinds, version, clock }: ApiServerOptions,
  contexts: readonly Context[],
  namespaces: MeshNamespaces | undefined,
): Promise<MemberApis | undefined> {
  const shared = contexts.find(({ view }) => view === "mesh");
  if (members === undefined || shared === undefined || namespaces === undefined) return undefined;
  await ensureMemberRole(shared);
  const folder = stateDir === undefined ? undefined : join(stateDir, "members");
  const authority = Authority.open(folder, "members", clock);
  return MemberApis.start({ listen: members.listen, authority, kinds, version, namespaces, shared });
}

/** Makes objects that are not there. */
async function ensure(
  context: Context,
  kindName: string,
  names: readonly { readonly namespace?: string; readonly name: string }[],
): Promise<void> {
  const kind = context.kinds.named("", kindName);
  if (kind === undefined) return;
  const options = { dryRun: false, fieldValidation: "Strict", warn: () => undefined } as const;
  for (const { namespace, name } of names) {
    const target = { kind, version: kind.versions[0].name, namespace };
    await create(context, target, { metadata: { name } }, options).catch((error: unknown) => {
      if (codeOf(error) !== "AlreadyExists") throw error;
    });
  }
}

/** Milliseconds between looks at the ages of keys. */
const keysEveryMs = 3_600_000;

function maintainKeys({ tokens, logger, endpoint }: Context): void {
  try {
    tokens?.keys.maintain();
  } catch (error) {
    logger.error("token keys could not be renewed; trying again", { endpoint, error: messageOf(error) });
  }
}

/** Looks after a partition's token keys until disposed. */
function maintenance(context: Context): Disposable {
  return context.clock.every(keysEveryMs, () => maintainKeys(context));
}

/** What a partition's API does by itself, until the signal aborts. */
async function control(context: Context, namespaces: MeshNamespaces | undefined, signal: AbortSignal): Promise<void> {
  const report = (error: unknown): void => {
    if (signal.aborted) return;
    context.logger.error("a controller ended", { endpoint: context.endpoint, error: messageOf(error) });
  };
  const kept = namespaces && ((name: string) => namespaces.keptBeside(undefined, name));
  const controllers = [
    new NamespaceController(context, context.view === "mesh" ? kept : undefined),
    new Collector(context),
    new AggregatedRoles(context),
  ];
  const running = [
    ...controllers.map((controller) => runController(controller, context, signal)),
    new EventExpiry(context).run(signal),
  ];
  await Promise.all(running.map((each) => each.catch(report)));
}

/** Ends watches of an endpoint whose right is withdrawn, until disposed. */
function runWithdrawals(context: Context, access: Access): AsyncDisposable {
  const stop = new AbortController();
  const running = runController(new WithdrawnRights(access), context, stop.signal).catch((error: unknown) => {
    if (stop.signal.aborted) return;
    context.logger.error("a controller ended", { endpoint: context.endpoint, error: messageOf(error) });
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** Runs what the partitions' APIs do by themselves, when it is this server's turn, until disposed. */
function runControllers(
  contexts: readonly Context[],
  namespaces: MeshNamespaces | undefined,
  { alone = (work, signal) => work(signal), logger }: ApiServerOptions,
): AsyncDisposable {
  const stop = new AbortController();
  const work = async (signal: AbortSignal): Promise<void> => {
    await Promise.all(contexts.map((context) => control(context, namespaces, signal)));
  };
  const running = alone(work, stop.signal).catch((error: unknown) => {
    logger.error("controllers ended", { error: messageOf(error) });
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
