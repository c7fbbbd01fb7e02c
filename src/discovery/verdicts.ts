import { gateway } from "#api/istio/gateway.ts";
import { type ObjectRef, type ResourceObject, refOf } from "#api/meta.ts";
import { untranslatedFinding } from "#api/untranslated.ts";
import { egressScope } from "#api/weft/egress-scope.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Model } from "#model/model.ts";
import type { TypeUrl } from "#proto/encoded.ts";
import type { Audience } from "#sources/feed.ts";
import type { Refusal } from "#status/conditions.ts";
import { type Verdict, statusKey } from "#status/writer.ts";
import type { Translator } from "#translate/translator.ts";
import type { ProxyNode, ProxyStatusSource } from "#xds/port.ts";
import { proxyLabel } from "./proxy-object.ts";

interface ObjectId {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

function idOf({ kind, namespace = "", name }: ObjectRef): ObjectId {
  return { kind, namespace, name };
}

/** What the model and the translation know of an object. */
type Known = Required<Pick<Verdict, "findings" | "credentials">>;

/** Who is told that what is known against an object may have changed. */
type Changed = (keys: Iterable<string>) => void;

/** Refusals by the key of the object that is to blame. */
function refusalsOf(proxies: ProxyStatusSource, translator: Translator): ReadonlyMap<string, readonly Refusal[]> {
  const byObject = new Map<string, Map<string, Set<string>>>();
  const blame = (node: ProxyNode, type: TypeUrl, name: string, message: string): void => {
    for (const origin of translator.origins(node, type, name)) {
      // Objects of clusters have statuses of their own masters; only the mesh's are written.
      if (origin.cluster !== undefined) continue;
      const key = statusKey(origin);
      const messages = byObject.get(key) ?? new Map<string, Set<string>>();
      messages.set(message, (messages.get(message) ?? new Set()).add(proxyLabel(node)));
      byObject.set(key, messages);
    }
  };
  for (const { node, types } of proxies.refusing()) {
    for (const [type, { refused }] of Object.entries(types)) {
      for (const name of refused?.resources ?? []) blame(node, type as TypeUrl, name, refused?.message ?? "");
    }
  }
  return new Map(
    [...byObject].map(([key, messages]) => [
      key,
      [...messages].map(([message, labels]) => ({ message, proxies: [...labels].toSorted() })),
    ]),
  );
}

/**
 * What is known of each of the mesh's objects: findings and credentials, kept up to date by the engine for as long as the object
 * exists, and proxies' refusals, put down to the objects that the refused resource came from.
 */
export class Verdicts implements Audience {
  readonly #known: Query<ObjectId, Known>;
  readonly #engine: Engine;
  readonly #observed = new Map<string, { readonly id: ObjectId; readonly watch: Disposable }>();
  readonly #changed: Changed;
  #refusals: ReadonlyMap<string, readonly Refusal[]> = new Map();

  constructor(engine: Engine, model: Model, translator: Translator, changed: Changed) {
    this.#engine = engine;
    this.#changed = changed;
    this.#known = engine.query<ObjectId, Known>({
      name: "object-findings",
      key: ({ kind, namespace, name }) => `${kind}/${namespace}/${name}`,
      compute: (id) => ({
        findings: translator.findings(id),
        credentials: id.kind === gateway.kind ? model.gatewayCredentials.get(`${id.namespace}/${id.name}`) : [],
      }),
    });
  }

  seen(object: ResourceObject): void {
    const ref = refOf(object);
    const key = statusKey(ref);
    // What is said of kinds that are not translated never changes.
    if (this.#observed.has(key) || untranslatedFinding(ref) !== undefined) return;
    const id = idOf(ref);
    this.#observed.set(key, { id, watch: this.#engine.observe(this.#known, id, () => this.#changed([key])) });
  }

  gone(object: ResourceObject): void {
    const key = statusKey(refOf(object));
    this.#observed.get(key)?.watch[Symbol.dispose]();
    this.#observed.delete(key);
  }

  /** What is found against all objects, as `CODE KIND NAMESPACE/NAME`. */
  all(): readonly string[] {
    const found = [...this.#observed.values()].flatMap(({ id }) =>
      this.#known.get(id).findings.map(({ code }) => `${code} ${id.kind} ${id.namespace}/${id.name}`),
    );
    return [...new Set(found)];
  }

  /** Follows what proxies refuse, until disposed. */
  follow(proxies: ProxyStatusSource, translator: Translator): Disposable {
    return proxies.onChange(() => {
      const before = this.#refusals;
      this.#refusals = refusalsOf(proxies, translator);
      this.#changed(new Set([...before.keys(), ...this.#refusals.keys()]));
    });
  }

  /** What is known against an object now. */
  of(ref: ObjectRef): Verdict {
    const untranslated = untranslatedFinding(ref);
    if (untranslated !== undefined) return { findings: [untranslated], refusals: [], translated: false };
    const refusals = this.#refusals.get(statusKey(ref)) ?? [];
    // Proxies of one workload hold an EgressScope, and its own status counts these.
    const translated = ref.kind !== egressScope.kind;
    return { ...this.#known.get(idOf(ref)), refusals, translated };
  }
}
