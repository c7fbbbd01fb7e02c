import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import { createModel } from "#model/model.ts";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { Intake } from "#sources/intake.ts";
import { followMesh } from "#sources/mesh.ts";
import { Members } from "#sources/members/members.ts";
import { classResources } from "#translate/proxy-resources.ts";
import { createTranslator, type Translator } from "#translate/translator.ts";
import type { ServedMesh } from "./served.ts";
import { simulatedNodeInfo } from "./xds-client.ts";

const shown = ["cluster", "endpoints", "listener", "route", "virtualHost"] as const;

/** What a proxy must hold: versions by type and name. */
export type Holdings = ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>;

/**
 * What proxies must hold of a served mesh as it is now: its objects are read from its API once more, and translated from
 * scratch.
 */
export class Recomputed {
  readonly #translator: Translator;
  readonly #namespaces: number;

  private constructor(translator: Translator, namespaces: number) {
    this.#translator = translator;
    this.#namespaces = namespaces;
  }

  /** Reads the mesh. */
  static async of(served: ServedMesh): Promise<Recomputed> {
    const engine = new Engine();
    const model = createModel(engine);
    model.inputs.setTime(systemClock.now());
    const translator = createTranslator(engine, model);
    const told = { clock: systemClock, logger: silentLogger };
    using intake = new Intake({ engine, ...told });
    const context = { intake, ...told };
    const end = new AbortController();
    const mesh = followMesh(served.mesh, model, "default", context, end.signal);
    const members = new Members({ ...context, client: served.mesh, model, namespace: "istio-system" }, end.signal);
    await Promise.all([mesh.synced, members.synced]);
    end.abort();
    await Promise.all([mesh.done, members.done]);
    return new Recomputed(translator, served.scale.namespaces);
  }

  /** What the simulated proxy with a number must hold. */
  holdings(number: number): Holdings {
    const node = simulatedNodeInfo(number, this.#namespaces);
    const all = classResources(this.#translator, this.#translator.classOf(node, "asked"));
    const versions = (type: (typeof shown)[number]): ReadonlyMap<string, string> =>
      new Map([...all[type]].map(([name, { version }]) => [name, version]));
    return new Map(shown.map((type) => [typeUrls[type], versions(type)]));
  }
}
