import type { IncomingMessage, RequestListener } from "node:http";
import { TLSSocket } from "node:tls";
import { isMemberKind, memberServerName } from "#api/member-api.ts";
import type { Kind } from "#api/kind.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import { SparingLog } from "#base/sparing-log.ts";
import { Watches } from "../access.ts";
import type { Proven } from "../authentication/proof.ts";
import { Authorizer } from "../authorization/authorizer.ts";
import type { Context } from "../context.ts";
import { DiscoveryDocuments } from "../discovery/documents.ts";
import { handler } from "../endpoint.ts";
import type { VersionInfo } from "../handlers/health.ts";
import { OpenApiDocuments } from "../handlers/openapi.ts";
import type { Routes } from "../handlers/route.ts";
import { Limits } from "../limits.ts";
import type { ListenAddress } from "../listener.ts";
import type { Authority } from "../pki/authority.ts";
import { ServedKinds } from "../served-kinds.ts";
import { settleDeparture } from "./departure.ts";
import { MembersFront } from "./front.ts";
import { provenByFrontProxy } from "./front-proxy.ts";
import { MemberAuthorizer } from "./member-authorizer.ts";
import type { Member } from "./member.ts";
import { MissedDepartures } from "./missed.ts";
import type { MeshNamespaces } from "./namespaces.ts";
import type { MemberView } from "./view.ts";

/** Milliseconds between looks at what connections have shown: as long may what is not trusted any more go on. */
const sweepEveryMs = 1_000;

/** Milliseconds between questions whether those who watch still may: clusters do not tell when their roles change. */
const recheckEveryMs = 60_000;

/** Milliseconds between looks at the age of the authority's certificate. */
const renewEveryMs = 3_600_000;

/** Who makes a request of a member. @throws WeftError `Unauthenticated`, or `Unavailable` while it is not known whom to believe. */
function proven(member: Member, request: IncomingMessage): Proven {
  const trust = member.trust();
  if (trust === undefined) {
    throw new WeftError(
      "Unavailable",
      `it is not known yet by what cluster "${member.name}" shows that it passes requests on`,
    );
  }
  if (!(request.socket instanceof TLSSocket)) throw new WeftError("Unauthenticated", "the connection is not secure");
  return provenByFrontProxy(request, request.socket, { member: member.name, trust });
}

/** What the APIs of members are made of. */
export interface MemberApisOptions {
  readonly listen: ListenAddress;
  /** Signs the certificates that members' API servers see. */
  readonly authority: Authority;
  readonly kinds: readonly Kind[];
  readonly version: VersionInfo;
  /** Who of the mesh has which namespace. */
  readonly namespaces: MeshNamespaces;
  /** What all views of the mesh's objects share. `partition` is the mesh's own. */
  readonly shared: Pick<Context, "store" | "clock" | "logger" | "validator" | "mergeTypes" | "partition">;
}

/** A member that is served, until disposed of. */
export interface ServedMember extends Disposable {
  /**
   * Does what the member missed when it deleted a namespace while this server was away.
   * @returns whether that is settled; else it is to be asked for again later.
   * @throws WeftError `Unavailable` while the member cannot be asked.
   */
  settleDeparture(namespace: string): Promise<boolean>;
}

/**
 * The mesh's API as member clusters serve it: behind their own API servers, which pass requests on by Kubernetes' aggregation
 * layer. Members come and go while it runs.
 */
export class MemberApis implements AsyncDisposable {
  readonly #options: MemberApisOptions;
  readonly #front: MembersFront;
  readonly #namespaces: MeshNamespaces;
  readonly #kinds: ServedKinds;
  readonly #routes: Routes;
  /** Members, with what settles that a namespace of theirs is gone. */
  readonly #views = new Map<MemberView, (namespace: string) => Promise<boolean>>();
  readonly #draining = new AbortController();
  readonly #upkeep = new DisposableStack();

  private constructor(options: MemberApisOptions) {
    const { authority, kinds, version, namespaces, shared } = options;
    const { clock } = shared;
    this.#options = options;
    this.#front = new MembersFront(authority, clock);
    this.#namespaces = namespaces;
    this.#kinds = new ServedKinds(kinds.filter(isMemberKind), "member");
    const [discovery, openapi] = [new DiscoveryDocuments(this.#kinds, []), new OpenApiDocuments(this.#kinds)];
    this.#routes = { discovery, openapi, version, aggregated: [] };
    this.#upkeep.use(clock.every(sweepEveryMs, () => this.#front.sweep()));
    this.#upkeep.use(clock.every(recheckEveryMs, () => void this.#recheck()));
    this.#upkeep.use(clock.every(renewEveryMs, () => authority.maintain()));
  }

  /** Starts to listen. @throws WeftError `Unavailable` for an address that is taken. */
  static async start(options: MemberApisOptions): Promise<MemberApis> {
    const apis = new MemberApis(options);
    try {
      await apis.#front.listen(options.listen);
    } catch (error) {
      apis.#upkeep.dispose();
      throw error;
    }
    return apis;
  }

  /** Where it listens, with its real port. */
  get address(): ListenAddress {
    return this.#front.address ?? this.#options.listen;
  }

  /** What members' API servers must trust, in PEM. */
  get authority(): string {
    return this.#options.authority.certificate;
  }

  /** Serves a member, until disposed of. */
  add(member: Member): ServedMember {
    const { shared } = this.#options;
    const { clock, store, partition } = shared;
    const authorizer = new MemberAuthorizer(member, new Authorizer(store, partition), clock);
    const view: MemberView = {
      member,
      namespaces: this.#namespaces,
      authorizer,
      watches: new Watches(authorizer),
      limits: new Limits({}, clock),
      missed: new MissedDepartures(clock),
      refusals: new SparingLog(shared.logger, clock),
      prove: (request) => proven(member, request),
    };
    const context: Context = {
      ...shared,
      endpoint: member.name,
      view: "member",
      kinds: this.#kinds,
      addresses: undefined,
      access: undefined,
      tokens: undefined,
      member: view,
    };
    using added = new DisposableStack();
    added.use(this.#namespaces.add(member));
    added.use(
      this.#front.open(memberServerName(member.name), {
        trust: () => member.trust(),
        listener: this.#listener(context),
      }),
    );
    const settle = (namespace: string): Promise<boolean> => settleDeparture(context, view, namespace);
    this.#views.set(view, settle);
    added.defer(() => this.#views.delete(view));
    const owned = added.move();
    return {
      settleDeparture: settle,
      [Symbol.dispose]: () => owned.dispose(),
    };
  }

  /** Takes no more connections and ends all there are. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining.abort();
    this.#upkeep.dispose();
    await this.#front[Symbol.asyncDispose]();
  }

  #listener(context: Context): RequestListener {
    const handle = handler(context, this.#routes, this.#draining.signal, false);
    return (request, response) => {
      // What cannot even be told to the client ends its connection.
      handle(request, response).catch(() => response.destroy());
    };
  }

  async #recheck(): Promise<void> {
    for (const [{ watches, missed, member }, settle] of this.#views) {
      await watches.check();
      await missed.settle(settle).catch((error: unknown) => {
        const fields = { cluster: member.name, error: messageOf(error) };
        this.#options.shared.logger.warn("namespaces that went cannot be settled; trying again", fields);
      });
    }
  }
}
