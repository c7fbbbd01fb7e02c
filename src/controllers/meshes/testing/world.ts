import type { Mesh } from "#api/weft/mesh.ts";
import type { MeshQuotas } from "#api/weft/mesh-lifecycle.ts";
import { equal } from "#base/canonical.ts";
import { WeftError } from "#base/errors.ts";
import type { MeshPlace, MeshRuntime, MeshSettings, RevisionPlace, Routing } from "../port.ts";

/** What of a mesh runs in a simulated world. */
export interface WorldMesh {
  slot: number;
  space: boolean;
  api: MeshQuotas | undefined;
  settings: MeshSettings;
  routing: Routing | undefined;
  readonly revisions: Map<string, { version: string; quotas: MeshQuotas; looks: number; proxies: number }>;
}

/** Proxies that a simulated mesh has. */
const proxyCount = 3;

/** What happens at a point of an effect: nothing, a fault that passes, or whoever asked is killed. */
export type Fate = "goes on" | "fails" | "dies";

/**
 * A world of meshes that a `MeshRuntime` acts on. It outlives who acts, tells which mesh was touched, and minds that nobody is cut off: a revision that
 * serves proxies goes only with its mesh.
 */
export class World {
  readonly meshes = new Map<string, WorldMesh>();
  readonly versions = ["1.0.0", "2.0.0", "3.0.0"];
  /** Names of revisions whose processes end as soon as they are started. */
  readonly dead = new Set<string>();
  /** What went against the rules. */
  readonly wrongs: string[] = [];
  /** Meshes as their objects say, for what must be recorded before it is done. */
  readonly objects: ReadonlyMap<string, Mesh>;

  constructor(objects: ReadonlyMap<string, Mesh>) {
    this.objects = objects;
  }

  /** The runtime, as one who acts sees it. `point` is asked before and after each effect; it never answers who is killed. */
  runtime(point: () => Promise<void>): MeshRuntime {
    const effect =
      <Args extends readonly [MeshPlace, ...unknown[]], R>(act: (mesh: WorldMesh, ...args: Args) => R) =>
      async (...args: Args): Promise<R> => {
        await point();
        const result = act(this.#mesh(args[0]), ...args);
        this.#tidy(args[0].mesh);
        await point();
        return result;
      };
    return {
      versions: this.versions,
      slots: 3,
      indexes: 3,
      apiAddress: ({ slot }) => `https://127.0.0.1:${slot}`,
      xdsAddress: ({ slot }, { index }) => `127.0.0.1:${slot}${index}`,
      ensureSpace: effect((mesh, place: MeshPlace) => {
        this.#mustBeBegun(place.mesh, "space");
        mesh.space = true;
      }),
      removeSpace: effect((mesh, place: MeshPlace) => {
        if (mesh.api || mesh.revisions.size > 0) this.wrongs.push(`${place.mesh}: its space went before what uses it`);
        Object.assign(mesh, { space: false, settings: {}, routing: undefined });
      }),
      ensureApi: effect((mesh, place: MeshPlace, quotas: MeshQuotas) => {
        if (!mesh.space) this.wrongs.push(`${place.mesh}: an API without a space`);
        if (!equal(mesh.api, quotas)) this.#mustBeBegun(place.mesh, "api", mesh.api === undefined);
        mesh.api = quotas;
      }),
      removeApi: effect((mesh) => {
        mesh.api = undefined;
      }),
      applySettings: effect((mesh, place: MeshPlace, settings: MeshSettings, before: MeshSettings) => {
        this.#mustBeBegun(place.mesh, "settings");
        const kept = Object.entries(mesh.settings).filter(([key]) => !Object.hasOwn(before, key));
        mesh.settings = { ...Object.fromEntries(kept), ...settings };
      }),
      ensureRevision: effect((mesh, place: MeshPlace, { name, version }: RevisionPlace, quotas: MeshQuotas) => {
        if (!mesh.api) this.wrongs.push(`${place.mesh}: ${name} runs without an API`);
        const known = mesh.revisions.get(name);
        if (known?.version === version && equal(known.quotas, quotas)) return;
        if (known?.version !== version && known) this.wrongs.push(`${place.mesh}: ${name} became ${version}`);
        mesh.revisions.set(name, { version, quotas, looks: 0, proxies: known?.proxies ?? 0 });
      }),
      removeRevision: effect((mesh, place: MeshPlace, { name }: RevisionPlace) => {
        const proxies = mesh.revisions.get(name)?.proxies ?? 0;
        const { kind, direction } = this.objects.get(place.mesh)?.status?.operation ?? {};
        // Proxies may have come to a mesh that was just being made; it is made anew.
        const gone = kind === "Delete" || (kind === "Create" && direction === "Back");
        if (proxies > 0 && !gone) this.wrongs.push(`${place.mesh}: ${name} went with ${proxies} proxies on it`);
        mesh.revisions.delete(name);
      }),
      unready: effect((mesh, _place: MeshPlace, { name }: RevisionPlace) => {
        const revision = mesh.revisions.get(name);
        if (!revision || this.dead.has(name)) return "it does not run";
        revision.looks += 1;
        return revision.looks > 1 ? undefined : "it starts";
      }),
      route: effect((mesh, place: MeshPlace, routing: Routing) => {
        this.#mustBeBegun(place.mesh, "route");
        for (const name of [routing.stable.name, routing.canary?.name]) {
          const known = name === mesh.routing?.stable.name || name === mesh.routing?.canary?.name;
          const unready = name !== undefined && !known && (mesh.revisions.get(name)?.looks ?? 0) < 2;
          if (unready) this.wrongs.push(`${place.mesh}: proxies are sent to ${name}, which is not ready`);
        }
        mesh.routing = routing;
      }),
      proxies: effect((mesh, _place: MeshPlace, { name }: RevisionPlace) => {
        this.#mustRun(name);
        this.#move(mesh);
        return mesh.revisions.get(name)?.proxies ?? 0;
      }),
      objections: effect((_mesh, _place: MeshPlace, { name }: RevisionPlace) => {
        this.#mustRun(name);
        return [];
      }),
      runs: effect(
        (mesh, _place: MeshPlace, { name }: RevisionPlace) => mesh.revisions.has(name) && !this.dead.has(name),
      ),
    };
  }

  /** A revision ends, and does so again whenever it is started; its proxies are without a control plane. */
  kill(name: string): void {
    this.dead.add(name);
    for (const { revisions } of this.meshes.values())
      Object.assign(revisions.get(name) ?? {}, { proxies: 0, looks: 0 });
  }

  #mustRun(name: string): void {
    if (this.dead.has(name)) throw new WeftError("Unavailable", `nothing answers on the socket of ${name}`);
  }

  /** A process of a mesh ends by itself. */
  crash(name: string, what: number): void {
    const mesh = this.meshes.get(name);
    if (!mesh) return;
    const running = [...mesh.revisions.values()];
    // Who is started anew has its proxies back.
    if (what < running.length) Object.assign(running[what] ?? {}, { looks: 0 });
  }

  #mesh({ mesh: name, slot }: MeshPlace): WorldMesh {
    const known = this.meshes.get(name);
    if (known) {
      if (known.slot !== slot) this.wrongs.push(`${name}: its place was ${known.slot} and is ${slot}`);
      return known;
    }
    const fresh = { slot, space: false, api: undefined, settings: {}, routing: undefined, revisions: new Map() };
    const taken = [...this.meshes].find(([, mesh]) => mesh.slot === slot);
    if (taken) this.wrongs.push(`${name} and ${taken[0]} have one place`);
    this.meshes.set(name, fresh);
    return fresh;
  }

  #tidy(name: string): void {
    const mesh = this.meshes.get(name);
    if (mesh && !mesh.space && !mesh.api && mesh.revisions.size === 0) this.meshes.delete(name);
  }

  /** A proxy that nothing binds goes where it belongs: one a look, so that moves take a while. */
  #move({ routing, revisions }: WorldMesh): void {
    if (!routing) return;
    const wanted = new Map([[routing.stable.name, proxyCount]]);
    if (routing.canary) {
      const moved = Math.round((proxyCount * routing.percentage) / 100);
      wanted.set(routing.canary.name, moved).set(routing.stable.name, proxyCount - moved);
    }
    const total = [...revisions.values()].reduce((sum, { proxies }) => sum + proxies, 0);
    const over = [...revisions].find(([name, { proxies }]) => proxies > (wanted.get(name) ?? 0));
    const under = [...revisions].find(
      ([name, { proxies }]) => proxies < (wanted.get(name) ?? 0) && !this.dead.has(name),
    );
    if (under && (over || total < proxyCount)) under[1].proxies += 1;
    if (over && (under || total > proxyCount)) over[1].proxies -= 1;
  }

  #mustBeBegun(name: string, kind: string, needed = true): void {
    const steps = this.objects.get(name)?.status?.operation?.steps ?? [];
    const begun = steps.some((step) => step.name === kind && (step.state === "Begun" || step.state === "Done"));
    if (needed && !begun) this.wrongs.push(`${name}: ${kind} was done before it was recorded`);
  }
}

/** The objects of meshes, as an API server keeps them: writes are over a version, and what has finalizers stays until they are gone. */
export class MeshObjects {
  readonly objects = new Map<string, Mesh>();
  /** Grows with each write. */
  version = 0;

  /** As a user does it. */
  create(name: string, spec: Mesh["spec"]): void {
    if (this.objects.has(name)) return;
    const metadata = {
      name,
      uid: `${name}-${this.version}`,
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
    };
    this.#put({
      apiVersion: "mesh.weft.dev/v1alpha1",
      kind: "Mesh",
      metadata: { ...metadata, resourceVersion: "" },
      spec,
    });
  }

  edit(name: string, change: (spec: Mesh["spec"]) => Mesh["spec"]): void {
    const mesh = this.objects.get(name);
    if (!mesh) return;
    const spec = change(mesh.spec);
    const generation = mesh.metadata.generation + (equal(spec, mesh.spec) ? 0 : 1);
    this.#put({ ...mesh, spec, metadata: { ...mesh.metadata, generation } });
  }

  delete(name: string): void {
    const mesh = this.objects.get(name);
    if (!mesh) return;
    if ((mesh.metadata.finalizers ?? []).length === 0) this.objects.delete(name);
    else this.#put({ ...mesh, metadata: { ...mesh.metadata, deletionTimestamp: "2026-01-01T00:00:01Z" } });
  }

  find(name: string): Mesh | undefined {
    return this.objects.get(name);
  }

  writeStatus({ metadata, status }: Mesh): Mesh {
    const mesh = this.#over(metadata.name, metadata.resourceVersion);
    return this.#put({ ...mesh, ...(status && { status: structuredClone(status) }) });
  }

  writeFinalizers(name: string, version: string, finalizers: readonly string[]): Mesh {
    const mesh = this.#over(name, version);
    const written = this.#put({ ...mesh, metadata: { ...mesh.metadata, finalizers } });
    if (mesh.metadata.deletionTimestamp !== undefined && finalizers.length === 0) this.objects.delete(name);
    return written;
  }

  #over(name: string, version: string): Mesh {
    const mesh = this.objects.get(name);
    if (!mesh) throw new WeftError("NotFound", `there is no mesh ${name}`);
    if (mesh.metadata.resourceVersion !== version) throw new WeftError("Conflict", `${name} has changed`);
    return mesh;
  }

  #put(mesh: Mesh): Mesh {
    this.version += 1;
    const stored = { ...mesh, metadata: { ...mesh.metadata, resourceVersion: String(this.version) } };
    this.objects.set(mesh.metadata.name, stored);
    return stored;
  }
}
