import type { Kind } from "#api/kind.ts";
import { apiVersionOf } from "#api/meta.ts";
import type { ObjectMeta, ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import { pageOf } from "./answers.ts";
import { type ApiRequest, type Connection, isTooLarge } from "./connection.ts";
import { responseError } from "./failure.ts";
import { watchEvents } from "./watch.ts";
import type { WatchEvent } from "./watch.ts";

/** What a client must know of a kind; every `Kind` fits. */
export type KindRef = Pick<Kind, "group" | "kind" | "plural" | "namespaced"> & {
  readonly versions: readonly [{ readonly name: string }, ...{ readonly name: string }[]];
};

/** Names an object; any object's `metadata` fits. */
export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

/** Metadata of an object to be created: a name, or a prefix for one. */
type DraftMeta = Partial<ObjectMeta> & ({ readonly name: string } | { readonly generateName: string });

/** An object to be created; `apiVersion` and `kind` are filled in. */
export type Draft<T extends ResourceObject> = {
  readonly [K in keyof T as K extends "metadata" | "apiVersion" | "kind" ? never : K]: T[K];
} & { readonly metadata: DraftMeta };

/** Which objects a list or a watch covers; all of the kind unless told. */
export interface Selection {
  readonly namespace?: string;
  /** As kubectl's `-l`. */
  readonly labelSelector?: string;
  /** As kubectl's `--field-selector`. */
  readonly fieldSelector?: string;
}

/** A whole list, read at one revision. */
export interface List<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

/** What holds for any write. */
export interface WriteOptions {
  /** Check and default, but store nothing. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** How to delete. */
export interface DeleteOptions extends WriteOptions {
  /** Refuse with `Conflict` when the object is another one by now. */
  readonly uid?: string;
  /** Refuse with `Conflict` when the object has changed. */
  readonly resourceVersion?: string;
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  readonly gracePeriodSeconds?: number;
}

/** A change to an object: RFC 7386, RFC 6902, or Kubernetes' own merge with keyed lists. */
export type Patch =
  | { readonly kind: "merge" | "strategic"; readonly body: object }
  | { readonly kind: "json"; readonly body: readonly object[] };

const patchTypes = {
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  json: "application/json-patch+json",
} as const;

/** Kubernetes `autoscaling/v1.Scale`. */
export interface Scale extends ResourceObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: { readonly replicas: number; readonly selector?: string };
}

/** How a watch is asked for. */
export interface WatchOptions extends Selection {
  /** Changes after this one are told. */
  readonly resourceVersion: string;
  /** The server ends the watch after so many seconds. */
  readonly timeoutSeconds?: number;
  /** Called when the server has taken the watch, which may be long before it tells anything. */
  readonly opened?: () => void;
}

const pageSize = 500;

/**
 * One API server. Every failure is a WeftError whose message is the server's own: `NotFound`, `AlreadyExists`,
 * `Conflict`, `Gone`, `InvalidArgument` (400 and 422), `PermissionDenied`, ..., `Unavailable` for the network.
 */
export class Client {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** The objects of one kind, in its preferred version unless told. */
  of<T extends ResourceObject = ResourceObject>(kind: KindRef, version?: string): KindClient<T> {
    return new KindClient<T>(this, kind, version ?? kind.versions[0].name);
  }

  /** Sends a request and returns the body of its answer. */
  async bytes(request: ApiRequest): Promise<Buffer> {
    const { status, body } = await this.connection.send(request);
    if (status >= 400) throw responseError(status, body);
    return body;
  }

  /** Sends a request and returns the JSON of its answer. */
  async json<R>(request: ApiRequest): Promise<R> {
    const body = await this.bytes(request);
    try {
      return JSON.parse(body.toString("utf8")) as R;
    } catch (error) {
      throw new WeftError("Internal", `the answer to ${request.method} ${request.path} is not JSON`, error);
    }
  }

  /** Sends a request and returns the body of its answer as it arrives, such as a log that is followed. */
  async stream(request: ApiRequest): Promise<AsyncIterable<Buffer>> {
    const { status, chunks } = await this.connection.open(request);
    if (status < 400) return chunks;
    const parts: Buffer[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    throw responseError(status, Buffer.concat(parts));
  }
}

/** The objects of one kind behind one API server. */
export class KindClient<T extends ResourceObject> {
  readonly kind: KindRef;
  readonly apiVersion: string;
  readonly #client: Client;
  readonly #root: string;

  constructor(client: Client, kind: KindRef, version: string) {
    this.kind = kind;
    this.apiVersion = apiVersionOf(kind.group, version);
    this.#client = client;
    this.#root = kind.group === "" ? `/api/${version}` : `/apis/${kind.group}/${version}`;
  }

  /** @throws WeftError `NotFound` when there is none. */
  async get(name: ObjectName, signal?: AbortSignal): Promise<T> {
    return this.#client.json({ method: "GET", path: this.#path(name), signal });
  }

  /** The object, or undefined when there is none. */
  async find(name: ObjectName, signal?: AbortSignal): Promise<T | undefined> {
    try {
      return await this.get(name, signal);
    } catch (error) {
      if (error instanceof WeftError && error.code === "NotFound") return undefined;
      throw error;
    }
  }

  /**
   * All objects of a selection, page by page. Starts again, unpaged, when the pages' revision is compacted meanwhile; and with smaller
   * pages where objects are so large that one is more than the connection takes.
   */
  async list(selection: Selection = {}, signal?: AbortSignal): Promise<List<T>> {
    for (let limit = pageSize; ; limit = Math.ceil(limit / 10)) {
      try {
        return await this.#paged(selection, limit, signal);
      } catch (error) {
        if (!isTooLarge(error) || limit === 1) throw error;
      }
    }
  }

  async #paged(selection: Selection, limit: number, signal: AbortSignal | undefined): Promise<List<T>> {
    try {
      return await this.#pages(selection, limit, signal);
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== "Gone") throw error;
      return await this.#pages(selection, undefined, signal);
    }
  }

  async #pages(selection: Selection, limit: number | undefined, signal: AbortSignal | undefined): Promise<List<T>> {
    const items: T[] = [];
    const begun = new Set<string>();
    const path = this.#path({ namespace: selection.namespace });
    for (let next: string | undefined; ;) {
      const { namespace: _, ...selectors } = selection;
      const query = { ...selectors, limit, continue: next };
      const page = pageOf<T>(await this.#client.json({ method: "GET", path, query, signal }), `GET ${path}`);
      // Items of a list come without their type.
      for (const item of page.items) items.push({ ...item, apiVersion: this.apiVersion, kind: this.kind.kind });
      next = page.next;
      if (next === undefined) return { items, resourceVersion: page.resourceVersion };
      if (begun.has(next)) throw new WeftError("Unavailable", `the pages of GET ${path} do not end`);
      begun.add(next);
    }
  }

  /** Creates an object and returns it as stored. */
  async create(draft: Draft<T>, options: WriteOptions = {}): Promise<T> {
    const path = this.#path({ namespace: draft.metadata.namespace });
    return this.#write("POST", path, this.#typed(draft), options);
  }

  /** Writes an object anew; with a `resourceVersion` only over that version. */
  async replace(object: T, options: WriteOptions = {}): Promise<T> {
    return this.#write("PUT", this.#path(object.metadata), this.#typed(object), options);
  }

  /** Writes an object's status and nothing else of it. */
  async replaceStatus(object: T, options: WriteOptions = {}): Promise<T> {
    return this.#write("PUT", this.#path(object.metadata, "status"), this.#typed(object), options);
  }

  /** Changes an object, or its status (`subresource`). */
  async patch(
    name: ObjectName,
    patch: Patch,
    options: WriteOptions & { readonly subresource?: "status" } = {},
  ): Promise<T> {
    const path = this.#path(name, options.subresource);
    return this.#write("PATCH", path, patch.body, options, patchTypes[patch.kind]);
  }

  /** Deletes an object; it may stay until its finalizers and its grace period are over. */
  async delete(name: ObjectName, options: DeleteOptions = {}): Promise<void> {
    const { uid, resourceVersion, propagation, gracePeriodSeconds, signal } = options;
    const body = {
      apiVersion: "v1",
      kind: "DeleteOptions",
      preconditions: { uid, resourceVersion },
      propagationPolicy: propagation,
      gracePeriodSeconds,
      ...(options.dryRun === true ? { dryRun: ["All"] } : {}),
    };
    await this.#client.bytes({ method: "DELETE", path: this.#path(name), body, signal });
  }

  /** The replica count of an object. */
  async scale(name: ObjectName, signal?: AbortSignal): Promise<Scale> {
    return this.#client.json({ method: "GET", path: this.#path(name, "scale"), signal });
  }

  /** Sets the replica count of an object. */
  async setScale(name: ObjectName, replicas: number, options: WriteOptions = {}): Promise<Scale> {
    const path = this.#path(name, "scale");
    return this.#write("PATCH", path, { spec: { replicas } }, options, patchTypes.merge);
  }

  /**
   * Changes after a revision until the server ends the watch or the signal aborts.
   * @throws WeftError `Gone` when the revision is no longer known.
   */
  async *watch(options: WatchOptions, signal?: AbortSignal): AsyncGenerator<WatchEvent<T>> {
    const { namespace, opened, ...query } = options;
    const request = { method: "GET", path: this.#path({ namespace }), signal } as const;
    const watch = { ...query, watch: true, allowWatchBookmarks: true };
    const chunks = await this.#client.stream({ ...request, query: watch });
    opened?.();
    yield* watchEvents<T>(chunks);
  }

  async #write<R>(
    method: "POST" | "PUT" | "PATCH",
    path: string,
    body: unknown,
    options: WriteOptions,
    contentType = "application/json",
  ): Promise<R> {
    const query = { dryRun: options.dryRun === true ? "All" : undefined };
    return this.#client.json({ method, path, query, body, contentType, signal: options.signal });
  }

  #typed(object: object): object {
    return { ...object, apiVersion: this.apiVersion, kind: this.kind.kind };
  }

  #path(at: { readonly namespace?: string | undefined; readonly name?: string }, subresource?: string): string {
    const { namespace, name } = at;
    if (this.kind.namespaced && name !== undefined && namespace === undefined)
      throw new WeftError("InvalidArgument", `${this.kind.kind} ${name}: a namespace is needed`);
    const parts = this.kind.namespaced && namespace !== undefined ? ["namespaces", namespace] : [];
    parts.push(this.kind.plural);
    if (name !== undefined) parts.push(name);
    if (subresource !== undefined) parts.push(subresource);
    return `${this.#root}/${parts.map(encodeURIComponent).join("/")}`;
  }
}
