import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { RevisionReport } from "#api/weft/revision-report.ts";
import type { Clock } from "#base/clock.ts";
import { formatAge } from "#base/duration.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import { listenOn } from "#grpc/listen.ts";
import type { Client } from "#kube/client.ts";
import { readAdmin } from "./proxy-admin.ts";
import { type ProxyFindingObject, proxyFindingObject, proxyFindingTable } from "./proxy-finding.ts";
import { listedFindings, listedProxies, type ProxyListOptions } from "./proxy-list.ts";
import type { ProxyLogs } from "./reports/proxy-logs.ts";
import { type ProxyObject, proxyGroup, proxyTable, proxyVersion } from "./proxy-object.ts";

/** What the API of proxies is made of. */
export interface ProxyApiOptions extends ProxyListOptions {
  readonly socketPath: string;
  /** What proxies log. */
  readonly logs: ProxyLogs;
  /** The API of a member cluster, through which its Pods are reached. */
  readonly clusterClient: (cluster: string) => Client | undefined;
  readonly clock: Clock;
  /** How the revision stands, served at `/revision`. */
  readonly report: () => RevisionReport;
  /** Further plain figures, served at `/metrics`. */
  readonly metrics: () => Readonly<Record<string, number>>;
}

const root = `/apis/${proxyGroup}/${proxyVersion}`;
/** What may be read there: nothing that changes an Envoy. */
const adminPaths = new Set([
  "config_dump",
  "clusters",
  "listeners",
  "server_info",
  "stats",
  "stats/prometheus",
  "certs",
  "memory",
  "ready",
]);

/** Lines of a log: unless told, and at most. */
const [usualLines, mostLines] = [200, 5000];

interface Answer {
  readonly type: string;
  readonly body: string | Buffer;
}

function json(body: object): Answer {
  return { type: "application/json", body: JSON.stringify(body) };
}

const statuses: Readonly<Partial<Record<ReturnType<typeof codeOf>, readonly [number, string]>>> = {
  NotFound: [404, "NotFound"],
  InvalidArgument: [400, "BadRequest"],
  Unsupported: [405, "MethodNotAllowed"],
  Unavailable: [503, "ServiceUnavailable"],
  DeadlineExceeded: [504, "Timeout"],
};

function failure(error: unknown): { readonly status: number; readonly body: string } {
  const [code, reason] = statuses[codeOf(error)] ?? [500, "InternalError"];
  const body = {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: messageOf(error),
    reason,
    code,
  };
  return { status: code, body: JSON.stringify(body) };
}

/**
 * The API group that tells of proxies, as an aggregated API server: list and get with tables, from which the mesh's API server makes watches, and reading
 * a proxy's administration interface (`proxies/NAME/admin/PATH`) and its log (`proxies/NAME/log`). On a Unix socket for this machine's API server; for those of
 * others, see `ProxyApiServer`.
 */
export class ProxyApi implements AsyncDisposable {
  readonly #options: ProxyApiOptions;
  readonly #server: Server;

  private constructor(options: ProxyApiOptions) {
    this.#options = options;
    this.#server = createServer(this.answer);
  }

  /**
   * Opens the API, for root alone.
   * @throws WeftError `AlreadyExists` while another control plane serves there.
   */
  static async listen(options: ProxyApiOptions): Promise<ProxyApi> {
    const api = new ProxyApi(options);
    await listenOn(api.#server, { socketPath: options.socketPath });
    return api;
  }

  /** Answers a request. */
  readonly answer = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { type, body } = await this.#answer(request);
      response.writeHead(200, { "content-type": type }).end(body);
    } catch (error) {
      const { status, body } = failure(error);
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    }
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const { pathname: path, search, searchParams } = new URL(request.url ?? "/", "http://localhost");
    if (request.method !== "GET") throw new WeftError("Unsupported", `proxies can only be read, not ${request.method}`);
    if (path === "/metrics") return { type: "text/plain", body: this.#metrics() };
    if (path === "/revision") return json(this.#options.report());
    if (path === root) return json(resourceList);
    const found = new RegExp(
      `^${root}(?:/namespaces/([^/]+))?/(proxies|proxyfindings)(?:/([^/]+)(?:/(?:admin/(.+)|(log)))?)?$`,
    ).exec(path);
    if (!found) throw new WeftError("NotFound", `no such path: ${path}`);
    const [, namespace, plural, name, admin, log] = found.map((part) =>
      part === undefined ? undefined : decodeURIComponent(part),
    );
    const place = { namespace, name };
    const asked = request.headers.accept?.includes("as=Table") === true;
    const asTable = asked && { whole: searchParams.get("includeObject") === "Object" };
    if (plural === "proxyfindings") return this.#shown(findingKind, this.#findings(), place, asTable);
    if (admin === undefined && log === undefined) return this.#shown(proxyKind, this.#proxies(), place, asTable);
    const [proxy] = selected(proxyKind, this.#proxies(), place);
    if (!proxy) throw new WeftError("NotFound", `no such path: ${path}`);
    return admin === undefined ? this.#log(proxy, search) : this.#admin(proxy, admin, search);
  }

  /** One object or the list, as they are or as a table. */
  #shown<O extends Named>(kind: ServedKind<O>, all: readonly O[], place: Place, asTable: TableWanted): Answer {
    const found = selected(kind, all, place);
    const now = this.#options.clock.now();
    if (asTable) return json(kind.table(found, (since) => formatAge(now - Date.parse(since)), asTable.whole));
    const [one] = found;
    if (place.name !== undefined && one) return json(one);
    const apiVersion = `${proxyGroup}/${proxyVersion}`;
    return json({ kind: `${kind.kind}List`, apiVersion, metadata: { resourceVersion: "" }, items: found });
  }

  #proxies(): readonly ProxyObject[] {
    return listedProxies(this.#options);
  }

  #findings(): readonly ProxyFindingObject[] {
    return listedFindings(this.#options).map(proxyFindingObject);
  }

  async #admin(proxy: ProxyObject, path: string, search: string): Promise<Answer> {
    if (!adminPaths.has(path)) throw new WeftError("NotFound", `${path} is none of ${[...adminPaths].join(", ")}`);
    const { cluster, pod } = proxy.spec;
    const client = this.#options.clusterClient(cluster);
    if (!client) throw new WeftError("Unavailable", `the API of cluster ${cluster} is not known`);
    const query = Object.fromEntries(new URLSearchParams(search));
    const body = await readAdmin(client, { namespace: proxy.metadata.namespace, pod, path, query });
    return { type: path.startsWith("stats") ? "text/plain" : "application/json", body };
  }

  async #log({ metadata, spec }: ProxyObject, search: string): Promise<Answer> {
    const query = new URLSearchParams(search);
    const lines = Number(query.get("tailLines") ?? usualLines);
    if (!Number.isSafeInteger(lines) || lines < 0 || lines > mostLines)
      throw new WeftError("InvalidArgument", `tailLines must be a whole number up to ${mostLines}`);
    const { cluster, pod, node } = spec;
    const { namespace } = metadata;
    const contained = this.#options.sidecar(cluster, namespace, pod)?.container !== undefined;
    const previous = query.get("previous") === "true";
    const body = await this.#options.logs.read(
      { id: node.id, cluster, namespace, pod, contained },
      { lines, previous },
    );
    return { type: "text/plain", body };
  }

  #metrics(): string {
    return Object.entries(this.#options.metrics())
      .map(([name, value]) => `weft_${name} ${value}\n`)
      .join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** An object by its name. */
interface Named {
  readonly metadata: { readonly name: string; readonly namespace: string };
}

/** What is asked for: one object, those of a namespace, or all. */
interface Place {
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

/** Whether a table is wanted, and whether with all of the objects. */
type TableWanted = false | { readonly whole: boolean };

/** A kind that is served. */
interface ServedKind<O> {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  /**
   * @param age the time since a timestamp, for people.
   * @param whole whether rows have all of an object.
   */
  readonly table: (objects: readonly O[], age: (since: string) => string, whole: boolean) => object;
}

const proxyKind: ServedKind<ProxyObject> = { kind: "Proxy", plural: "proxies", singular: "proxy", table: proxyTable };
const findingKind: ServedKind<ProxyFindingObject> = {
  kind: "ProxyFinding",
  plural: "proxyfindings",
  singular: "proxyfinding",
  table: proxyFindingTable,
};

/** @throws WeftError `NotFound` when one is asked for that there is not. */
function selected<O extends Named>(
  { plural }: ServedKind<O>,
  all: readonly O[],
  { namespace, name }: Place,
): readonly O[] {
  const found = all.filter(
    ({ metadata }) =>
      (namespace === undefined || metadata.namespace === namespace) && (name === undefined || metadata.name === name),
  );
  if (name !== undefined && found.length === 0) {
    throw new WeftError("NotFound", `${plural}.${proxyGroup} "${name}" not found`);
  }
  return name === undefined ? found : found.slice(0, 1);
}

const resourceList = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: `${proxyGroup}/${proxyVersion}`,
  resources: [proxyKind, findingKind].map(({ kind, plural, singular }) => ({
    name: plural,
    singularName: singular,
    namespaced: true,
    kind,
    // Watches are fed by the mesh's API server, by which alone people and programs reach this.
    verbs: ["get", "list", "watch"],
    shortNames: [],
  })),
};
