import type { ResourceObject } from "#api/meta.ts";
import type { Call } from "../handlers/call.ts";
import { gathered } from "../handlers/gathered.ts";
import { flag } from "../options.ts";
import { parseShape } from "../output/shape.ts";
import { parseInclude } from "../output/table.ts";
import { parseWatchOptions } from "../registry/watch.ts";
import { json, type Reply } from "../reply.ts";
import { parseFieldSelector } from "../selectors/field.ts";
import { parseLabelSelector } from "../selectors/label.ts";
import { GatheredKind, type GatheringOptions } from "./kind.ts";
import { listOf, tableOf, type Wanted } from "./shapes.ts";
import type { GatheredObject } from "./state.ts";
import { watchLines } from "./watch.ts";

/** A path of a collection, of all namespaces or one. */
const collection = /^\/apis\/([^/]+)\/([^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)$/;

/** A path's collection. */
interface Collection {
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly plural: string;
}

function collectionOf(path: string): Collection | undefined {
  const [, group, version, namespace, plural] = collection.exec(path) ?? [];
  if (group === undefined || version === undefined || plural === undefined) return undefined;
  return { group, version, plural, namespace: namespace === undefined ? undefined : decodeURIComponent(namespace) };
}

/** Which objects a request means. @throws ApiError `BadRequest`. */
function selectorOf({ query }: Call, { group, version, namespace, plural }: Collection) {
  const field = parseFieldSelector({ group, plural }, version, query.get("fieldSelector") ?? "");
  const label = parseLabelSelector(query.get("labelSelector") ?? "");
  return (object: GatheredObject): boolean =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    field(object as ResourceObject) &&
    label(object.metadata.labels);
}

/** A group that several servers tell of, told as one: lists, and watches of what changes. */
export class Gathering {
  readonly #options: GatheringOptions;
  readonly #kinds = new Map<string, GatheredKind>();

  constructor(options: GatheringOptions) {
    this.#options = options;
  }

  /** Answers a GET. @param path with its query. */
  async answer(call: Call, path: string): Promise<Reply> {
    const place = collectionOf(call.pathname);
    const kind = place && this.#kind(place);
    if (!place || !kind) return gathered(call, await this.#options.tellers(), path);
    const matches = selectorOf(call, place);
    const watching = flag(call.query, "watch");
    const wanted: Wanted = {
      shape: parseShape(call.request.headers.accept, !watching),
      include: parseInclude(call.query),
      shown: (version) => kind.shown(version),
    };
    if (watching) {
      const options = parseWatchOptions(call.query);
      const signal = AbortSignal.any([call.gone, call.draining]);
      const { clock } = call.context;
      const apiVersion = `${place.group}/${place.version}`;
      const chunks = watchLines({ kind, matches, wanted, options, apiVersion, name: kind.name, clock }, signal);
      return { kind: "stream", type: "application/json", chunks };
    }
    const { rows, columns, version, problems } = await kind.gather(call.gone);
    for (const problem of problems) call.warn(problem);
    const chosen = rows.filter(({ object }) => matches(object));
    const { encoding } = wanted.shape;
    if (wanted.shape.kind === "table") return json(tableOf(chosen, columns, version, wanted), 200, encoding);
    return json(listOf(chosen, kind.name, `${place.group}/${place.version}`, version, wanted), 200, encoding);
  }

  #kind({ group, version, plural }: Collection): GatheredKind | undefined {
    const path = `/apis/${group}/${version}/${plural}`;
    const found = this.#kinds.get(path);
    const name = this.#options.kinds[plural];
    if (found || name === undefined) return found;
    const made = new GatheredKind(this.#options, path, name);
    this.#kinds.set(path, made);
    return made;
  }
}
