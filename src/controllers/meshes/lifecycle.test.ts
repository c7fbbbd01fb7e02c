import fc from "fast-check";
import { expect, test } from "vitest";
import type { Mesh } from "#api/weft/mesh.ts";
import type { MeshState } from "#api/weft/mesh-lifecycle.ts";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { runs } from "#base/testing/runs.ts";
import { MeshLifecycle, type MeshRecords } from "./lifecycle.ts";
import { retryMs } from "./operation.ts";
import { type Fate, MeshObjects, World } from "./testing/world.ts";

const names = ["blue", "green", "red"] as const;

/** Who leads the meshes, killed and started anew as fate has it. */
class Management {
  readonly store = new MeshObjects();
  readonly world = new World(this.store.objects);
  readonly clock = new ManualClock();
  /** What happens at the next points of effects and of writes. */
  fates: Fate[] = [];
  kills = 0;
  /** Points of effects until one is refused. */
  refusal = Infinity;
  #lifecycle: MeshLifecycle;
  #killed = Promise.withResolvers<number>();

  constructor() {
    this.#lifecycle = this.#born();
  }

  mesh(name: string): Mesh {
    return this.store.find(name)!;
  }

  /** One turn; a kill is one too, and so is a write over another version. */
  async turn(name: string): Promise<number | undefined> {
    const before = this.#others(name);
    const result = await Promise.race([this.#turn(name), this.#killed.promise]);
    if (this.#others(name) !== before) this.world.wrongs.push(`what was done for ${name} touched another mesh`);
    if (result === -1) {
      this.kills += 1;
      this.#killed = Promise.withResolvers<number>();
      this.#lifecycle = this.#born();
    }
    return result;
  }

  /** What runs of all meshes but one. */
  #others(name: string): string {
    const found = [...this.world.meshes].filter(([each]) => each !== name);
    return JSON.stringify(found.map(([each, mesh]) => [each, mesh, [...mesh.revisions]]));
  }

  async #turn(name: string): Promise<number | undefined> {
    try {
      return await this.#lifecycle.turn(name);
    } catch (error) {
      if (error instanceof WeftError) return 0;
      throw error;
    }
  }

  /** Turns of every mesh, fate being kind, until nothing changes, also not after what has failed may be tried again. */
  async settle(): Promise<void> {
    this.fates = [];
    await this.#rest();
    const isWaiting = (): boolean => names.some((name) => this.store.find(name)?.status?.operation !== undefined);
    for (let rests = 0; rests === 0 || (rests < 10 && isWaiting()); rests += 1) {
      this.clock.advance(retryMs);
      await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    for (let quiet = 0, rounds = 0; quiet < 3; quiet += 1, rounds += 1) {
      const before = this.store.version;
      this.clock.advance(1000);
      for (const name of names) if (this.store.find(name)) await this.turn(name);
      if (this.store.version !== before) quiet = 0;
      if (rounds > 1000) throw new Error(`no end: ${JSON.stringify([...this.store.objects.values()])}`);
    }
  }

  #born(): MeshLifecycle {
    const killed = this.#killed;
    const point = async (): Promise<void> => {
      const fate = killed === this.#killed ? (this.fates.shift() ?? "goes on") : "dies";
      if (fate === "fails") throw new WeftError("Unavailable", "as fate has it");
      if (fate === "goes on") return;
      killed.resolve(-1);
      await new Promise(() => undefined);
    };
    const effectPoint = async (): Promise<void> => {
      this.refusal -= 1;
      if (this.refusal === 0) throw new WeftError("FailedPrecondition", "as fate has it");
      await point();
    };
    const meshes: MeshRecords = {
      find: async ({ name }) => {
        await point();
        return this.store.find(name);
      },
      list: async () => {
        await point();
        return { items: [...this.store.objects.values()], resourceVersion: "" };
      },
      replaceStatus: async (mesh) => {
        await point();
        const written = this.store.writeStatus(mesh);
        await point();
        return written;
      },
      patch: async ({ name }, { body }) => {
        await point();
        const { metadata } = body as { metadata: { resourceVersion: string; finalizers: readonly string[] } };
        const written = this.store.writeFinalizers(name, metadata.resourceVersion, metadata.finalizers);
        await point();
        return written;
      },
    };
    return new MeshLifecycle({
      meshes,
      mode: "Managed",
      runtime: this.world.runtime(effectPoint),
      clock: this.clock,
      logger: silentLogger,
    });
  }

  /** What runs of a mesh, in the shape of what its object asks for. */
  running(name: string): object | undefined {
    const found = this.world.meshes.get(name);
    if (!found) return undefined;
    const { space, api, settings, routing, revisions } = found;
    const versions = [...revisions.values()].map(({ version }) => version).toSorted();
    const proxies = [...revisions.values()].reduce((sum, each) => sum + each.proxies, 0);
    return {
      space,
      api,
      settings,
      versions,
      proxies,
      stable: routing?.stable.version,
      canary: routing?.canary?.version,
    };
  }
}

/** What must run of a mesh once all that its object asks for is done. */
function asked({ spec }: Mesh): object {
  const { mode: _mode, version = "", canary, quotas = {}, ...settings } = spec;
  const versions = [version, ...(canary ? [canary.version] : [])].toSorted();
  return { space: true, api: quotas, settings, versions, proxies: 3, stable: version, canary: canary?.version };
}

const version = fc.constantFrom("1.0.0", "2.0.0", "3.0.0");

type Command = (management: Management) => void;

const change: fc.Arbitrary<(spec: Mesh["spec"]) => Mesh["spec"]> = fc.oneof(
  version.map((to) => ({ canary, ...spec }: Mesh["spec"]) => ({
    ...spec,
    version: to,
    ...(canary && canary.version !== to && { canary }),
  })),
  fc
    .record({ version, percentage: fc.constantFrom(0, 34, 100) })
    .map((canary) => (spec: Mesh["spec"]) => (canary.version === spec.version ? spec : { ...spec, canary })),
  fc.constant(({ canary: _canary, ...spec }: Mesh["spec"]) => spec),
  fc.nat(2).map((objects) => (spec: Mesh["spec"]) => ({ ...spec, quotas: objects === 0 ? {} : { objects } })),
  fc.boolean().map(
    (on) =>
      ({ enableAutoMtls: _mtls, ...spec }: Mesh["spec"]) =>
        on ? { ...spec, enableAutoMtls: on } : spec,
  ),
);

const command: fc.Arbitrary<Command> = fc.constantFrom(...names).chain((name) =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: version.map((each): Command => ({ store }) => {
        store.create(name, { mode: "Managed", trustDomain: `${name}.local`, version: each });
      }),
    },
    {
      weight: 6,
      arbitrary: change.map(
        (edit): Command =>
          ({ store }) =>
            store.edit(name, edit),
      ),
    },
    { weight: 1, arbitrary: fc.constant<Command>(({ store }) => store.delete(name)) },
    {
      weight: 1,
      arbitrary: fc.nat(2).map(
        (which): Command =>
          ({ world }) =>
            world.crash(name, which),
      ),
    },
  ),
);

const fate = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Fate>("goes on") },
  { weight: 1, arbitrary: fc.constant<Fate>("fails") },
  { weight: 2, arbitrary: fc.constant<Fate>("dies") },
);

/** Something that a user does, and turns after it with what befalls them. */
const act = fc.record({ command, turns: fc.nat(30), fates: fc.array(fate, { maxLength: 60 }) });

type Edit = (spec: Mesh["spec"]) => Mesh["spec"];

const plain: Mesh["spec"] = { mode: "Managed", trustDomain: "blue.local", version: "1.0.0" };
const withCanary: Mesh["spec"] = { ...plain, canary: { version: "2.0.0", percentage: 34 } };

/** A mesh as it was, what is asked of it, and the state after that has failed. */
const operations: readonly (readonly [string, Mesh["spec"] | undefined, Edit, MeshState])[] = [
  ["Create", undefined, (spec) => spec, "CREATE_FAILED"],
  ["Update", plain, (spec) => ({ ...spec, quotas: { objects: 7 }, enableAutoMtls: false }), "ABNORMAL"],
  ["Upgrade", plain, () => withCanary, "UPGRADE_FAILED"],
  ["Upgrade", plain, (spec) => ({ ...spec, version: "2.0.0" }), "UPGRADE_FAILED"],
  ["Finish", withCanary, () => ({ ...plain, version: "2.0.0" }), "UPGRADE_FAILED"],
  ["Rollback", withCanary, () => plain, "ROLLBACK_FAILED"],
];

/** A mesh that stands as `before`, and of which something else is asked. */
async function asking(before: Mesh["spec"] | undefined, edit: Edit): Promise<Management> {
  const management = new Management();
  management.store.create("blue", before ?? plain);
  if (before === undefined) return management;
  await management.settle();
  management.store.edit("blue", edit);
  return management;
}

test.each(operations)(
  "%s can be overtaken after any of its turns, and all of it is taken back",
  async (_kind, before, edit) => {
    const back: Edit = (spec) => (before === undefined ? { ...spec, version: "3.0.0" } : before);
    let ended = false;
    for (let turns = 1; !ended; turns += 1) {
      const management = await asking(before, edit);
      for (let turn = 0; turn < turns; turn += 1) {
        management.clock.advance(1000);
        await management.turn("blue");
      }
      ended = management.mesh("blue").status?.operation === undefined;
      management.store.edit("blue", back);
      await management.settle();
      expect(management.running("blue")).toEqual(asked(management.mesh("blue")));
      expect(management.world.wrongs).toEqual([]);
      management.store.delete("blue");
      await management.settle();
      expect([...management.world.meshes.keys(), ...management.store.objects.keys()]).toEqual([]);
    }
  },
);

test.each(operations)(
  "%s that is refused at any step is taken back, told, and tried again",
  async (kind, before, edit, failed) => {
    let refused = 0;
    for (let at = 1; ; at += 1) {
      const management = await asking(before, edit);
      const was = management.running("blue");
      management.refusal = at;
      do {
        management.clock.advance(1000);
        await management.turn("blue");
      } while (management.mesh("blue").status?.operation);
      const { lastOperation } = management.mesh("blue").status ?? {};
      if (lastOperation?.outcome === "Failed") {
        refused += 1;
        await management.turn("blue");
        expect(management.mesh("blue").status?.state).toBe(failed);
        expect(lastOperation).toMatchObject({ kind, message: expect.stringContaining("as fate has it") });
        expect(management.running("blue")).toEqual(was);
      }
      // Fate struck after the operation's end.
      const over = management.refusal > 0;
      await management.settle();
      expect(management.running("blue")).toEqual(asked(management.mesh("blue")));
      expect(management.world.wrongs).toEqual([]);
      if (over) break;
    }
    expect(refused).toBeGreaterThan(3);
  },
);

/** An operation while a revision is dead, by its name. */
const beside: readonly (readonly [string, string, Mesh["spec"], Edit])[] = [
  ["Update", "1-0-0", plain, (spec) => ({ ...spec, quotas: { objects: 7 }, enableAutoMtls: false })],
  ["Upgrade", "1-0-0", plain, (spec) => ({ ...spec, version: "2.0.0" })],
  ["Upgrade", "1-0-0", plain, () => withCanary],
  ["Finish", "1-0-0", withCanary, () => ({ ...plain, version: "2.0.0" })],
  ["Rollback", "2-0-0", withCanary, () => plain],
];

test.each(beside)("%s goes through though revision %s is dead", async (_kind, dead, before, edit) => {
  const management = await asking(before, (spec) => spec);
  management.world.kill(dead);
  management.store.edit("blue", edit);
  await management.settle();
  const mesh = management.mesh("blue");
  expect(mesh.status?.operation).toBeUndefined();
  expect(mesh.status?.lastOperation?.outcome).toBe("Succeeded");
  expect(management.running("blue")).toEqual({ ...asked(mesh), proxies: expect.any(Number) });
  expect(management.world.wrongs).toEqual([]);
});

test("nobody is sent to a revision that ends between its being ready and its being used", async () => {
  const management = await asking(plain, (spec) => ({ ...spec, version: "2.0.0" }));
  const begun = (): string | undefined =>
    management.mesh("blue").status?.operation?.steps.find(({ state }) => state === "Begun")?.name;
  while (begun() !== "route") await management.turn("blue");
  management.world.crash("blue", 1);
  await management.settle();
  expect(management.world.wrongs).toEqual([]);
  expect(management.running("blue")).toEqual(asked(management.mesh("blue")));
});

test("nobody is moved for good to a revision that is dead", async () => {
  const management = await asking(withCanary, (spec) => spec);
  management.world.kill("2-0-0");
  management.store.edit("blue", () => ({ ...plain, version: "2.0.0" }));
  await management.settle();
  const { state, lastOperation } = management.mesh("blue").status ?? {};
  expect(state).toBe("UPGRADE_FAILED");
  expect(lastOperation?.message).toContain("it does not run");
  expect(management.running("blue")).toMatchObject({ stable: "1.0.0", canary: "2.0.0" });
});

test("an operation that cannot be taken back for a dead revision ends nevertheless, and others follow", async () => {
  const management = await asking(withCanary, (spec) => spec);
  management.store.edit("blue", () => ({ ...plain, version: "2.0.0" }));
  const step = (): string | undefined =>
    management.mesh("blue").status?.operation?.steps.find(({ state }) => state === "Begun")?.name;
  while (step() !== "drain 1-0-0") await management.turn("blue");
  management.world.kill("1-0-0");
  management.store.edit("blue", () => withCanary);
  await management.settle();
  expect(management.mesh("blue").status?.operation).toBeUndefined();
  management.store.edit("blue", () => ({ ...plain, version: "2.0.0" }));
  await management.settle();
  expect(management.running("blue")).toEqual(asked(management.mesh("blue")));
  expect(management.world.wrongs.filter((wrong) => !wrong.includes("1-0-0, which is not ready"))).toEqual([]);
});

test("a mesh is not Ready while its control plane is dead, whatever is being done with it", async () => {
  const management = await asking(plain, (spec) => spec);
  const ready = (): string | undefined =>
    management.mesh("blue").status?.conditions?.find(({ type }) => type === "Ready")?.status;
  expect(ready()).toBe("True");
  management.world.kill("2-0-0");
  management.store.edit("blue", () => withCanary);
  while (!management.mesh("blue").status?.operation?.message) await management.turn("blue");
  expect(management.mesh("blue").status?.state).toBe("UPGRADING");
  expect(ready()).toBe("True");
  management.world.kill("1-0-0");
  for (let turn = 0; turn < 3; turn += 1) await management.turn("blue");
  expect(management.mesh("blue").status?.state).toBe("UPGRADING");
  expect(ready()).toBe("False");
});

test("a version that is not installed fails the upgrade before anything is done", async () => {
  const management = await asking(plain, (spec) => ({ ...spec, canary: { version: "9.9.9", percentage: 0 } }));
  for (let turn = 0; turn < 20; turn += 1) await management.turn("blue");
  const { state, lastOperation, revisions } = management.mesh("blue").status ?? {};
  expect(state).toBe("UPGRADE_FAILED");
  expect(lastOperation?.message).toBe("allot 9-9-9: version 9.9.9 is not installed; there is 1.0.0, 2.0.0, 3.0.0");
  expect(revisions?.map(({ name }) => name)).toEqual(["1-0-0"]);
});

test("whoever is killed at any step of any operation is followed by one who leads every mesh to what its object asks for", async () => {
  let kills = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 12 }), async (acts) => {
      const management = new Management();
      for (const { command: does, turns, fates } of acts) {
        does(management);
        management.fates = [...fates];
        for (let turn = 0; turn < turns; turn += 1) {
          management.clock.advance(500);
          await management.turn(names[turn % names.length]!);
        }
      }
      await management.settle();
      kills += management.kills;
      for (const name of names) {
        const mesh = management.store.find(name);
        expect(management.running(name)).toEqual(mesh && asked(mesh));
        if (!mesh) continue;
        expect(mesh.status?.state).toBe(mesh.spec.canary ? "CANARY_UPGRADED" : "RUNNING");
        expect(mesh.status?.revisions?.map((each) => each.version).toSorted()).toEqual(
          (asked(mesh) as { versions: string[] }).versions,
        );
      }
      expect(management.world.wrongs).toEqual([]);
    }),
    { numRuns: runs(60) },
  );
  expect(kills).toBeGreaterThan(runs(30));
});
