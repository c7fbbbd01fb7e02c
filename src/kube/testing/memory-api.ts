import type { ServerResponse } from "node:http";
import type { ResourceObject } from "#api/meta.ts";
import type { KindRef } from "../client.ts";
import { answer, testServer } from "./http.ts";
import type { SeenRequest, TestServer } from "./http.ts";

/** A kind that only tests know. */
export const widgetKind: KindRef = {
  group: "test.weft.dev",
  versions: [{ name: "v1" }],
  kind: "Widget",
  plural: "widgets",
  namespaced: true,
};

/** An object of that kind. */
export interface Widget extends ResourceObject {
  readonly spec: { readonly size: number };
}

interface LogEntry {
  readonly revision: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: Widget;
}

/**
 * The list and watch of an API server for one kind in one namespace, in memory and over real HTTP, with the ways in which a server or
 * a network misbehaves.
 */
export class MemoryApi implements AsyncDisposable {
  readonly objects = new Map<string, Widget>();
  revision = 10;
  compacted = 0;
  /** The next requests are answered with these statuses. */
  readonly failures: number[] = [];
  /** The next requests are answered 200 with these texts, after the failures. */
  readonly garbage: string[] = [];
  /** What happens, once each, before the next pages after a list's first are answered. */
  readonly betweenPages: (() => void)[] = [];
  pageLimit = 2;
  #log: LogEntry[] = [];
  readonly #watches = new Set<{ readonly response: ServerResponse }>();
  #server: TestServer | undefined;
  #uids = 0;

  static async start(): Promise<MemoryApi> {
    const api = new MemoryApi();
    api.#server = await testServer((request, response) => api.#respond(request, response));
    return api;
  }

  get url(): string {
    return this.#server?.url ?? "";
  }

  get requests(): readonly SeenRequest[] {
    return this.#server?.requests ?? [];
  }

  get watches(): number {
    return this.#watches.size;
  }

  put(name: string, size: number): void {
    const before = this.objects.get(name);
    this.revision += 1;
    const object: Widget = {
      apiVersion: "test.weft.dev/v1",
      kind: "Widget",
      metadata: {
        name,
        namespace: "shop",
        uid: before?.metadata.uid ?? `uid-${(this.#uids += 1)}`,
        resourceVersion: String(this.revision),
        generation: 1,
        creationTimestamp: "2026-01-01T00:00:00Z",
      },
      spec: { size },
    };
    this.objects.set(name, object);
    this.#append({ revision: this.revision, type: before === undefined ? "ADDED" : "MODIFIED", object });
  }

  delete(name: string): void {
    const before = this.objects.get(name);
    if (before === undefined) return;
    this.revision += 1;
    this.objects.delete(name);
    const metadata = { ...before.metadata, resourceVersion: String(this.revision) };
    this.#append({ revision: this.revision, type: "DELETED", object: { ...before, metadata } });
  }

  bookmark(): void {
    const object = {
      kind: "Widget",
      apiVersion: "test.weft.dev/v1",
      metadata: { resourceVersion: String(this.revision) },
    };
    for (const { response } of this.#watches) response.write(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
  }

  /** Forgets all history; open watches go on. */
  compact(): void {
    this.compacted = this.revision;
    this.#log = [];
  }

  /** Ends every watch; `how` says whether politely, in the middle of a line, or by an error event. */
  cut(how: "end" | "midline" | "gone"): void {
    for (const { response } of this.#watches) {
      if (how === "end") response.end();
      else if (how === "midline") response.write('{"type":"ADDED","object":{"metada', () => response.destroy());
      else
        response.end(
          `${JSON.stringify({ type: "ERROR", object: { code: 410, reason: "Expired", message: "gone" } })}\n`,
        );
    }
    this.#watches.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  #append(entry: LogEntry): void {
    this.#log.push(entry);
    for (const watch of this.#watches) this.#write(watch.response, entry);
  }

  #write(response: ServerResponse, { type, object }: LogEntry): void {
    const line = Buffer.from(`${JSON.stringify({ type, object })}\n`);
    // In two pieces, so that a reader meets line ends anywhere.
    const half = Math.floor(line.length / 2);
    response.write(line.subarray(0, half));
    response.write(line.subarray(half));
  }

  #respond({ url }: SeenRequest, response: ServerResponse): void {
    const failure = this.failures.shift();
    if (failure !== undefined) answer(response, failure, { kind: "Status", code: failure, message: "as told" });
    else if (this.garbage.length > 0) response.writeHead(200).end(this.garbage.shift());
    else if (url.searchParams.get("watch") === "true")
      this.#watch(Number(url.searchParams.get("resourceVersion")), response);
    else this.#list(url.searchParams, response);
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    if (query.has("continue")) this.betweenPages.shift()?.();
    const [revision = this.revision, offset = 0] = query.get("continue")?.split("/").map(Number) ?? [];
    // Like a server that keeps no old states: pages of another revision are gone.
    if (revision !== this.revision) {
      answer(response, 410, { kind: "Status", code: 410, reason: "Expired", message: "the list is too old" });
      return;
    }
    const limit = query.has("limit") ? this.pageLimit : Number.POSITIVE_INFINITY;
    const all = [...this.objects.values()];
    const items = all.slice(offset, offset + limit).map(({ metadata, spec }) => ({ metadata, spec }));
    const more = offset + limit < all.length ? { continue: `${revision}/${offset + limit}` } : {};
    answer(response, 200, { metadata: { resourceVersion: String(revision), ...more }, items });
  }

  #watch(after: number, response: ServerResponse): void {
    if (after < this.compacted) {
      answer(response, 410, { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" });
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    for (const entry of this.#log) if (entry.revision > after) this.#write(response, entry);
    const watch = { response };
    this.#watches.add(watch);
    response.once("close", () => this.#watches.delete(watch));
  }
}
