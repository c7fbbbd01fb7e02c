import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { writePrivate } from "#apiserver/private-file.ts";
import type { MeshQuotas } from "#api/weft/mesh-lifecycle.ts";
import { objectionsBetween, type RevisionReport } from "#api/weft/revision-report.ts";
import { revisionsData } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { MeshPlace, MeshRuntime, MeshSettings, RevisionPlace, Routing } from "#controllers/meshes/port.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { credentialContext } from "../credential.ts";
import { KeptProcess } from "./kept-process.ts";
import { type MeshFolders, type MeshLayout, meshLayout } from "./layout.ts";
import { MeshApi } from "./mesh-api.ts";
import { RevisionStatus } from "./revision-status.ts";
import { Silence } from "./silence.ts";

/** Where and by what the meshes of this machine are run. */
export interface ProcessRuntimeOptions extends MeshFolders {
  /** The address that their APIs and control planes listen on. */
  readonly address: string;
  /** Names of that address, for their certificates. */
  readonly serverNames: readonly string[];
  /** Their first port: each mesh has sixteen in a row. */
  readonly firstPort: number;
  /** The command `weft` of each version, the newest last. APIs are run by the newest, which knows what all of them store. */
  readonly programs: ReadonlyMap<string, string>;
  /** How many control planes each revision has, which share its ports. */
  readonly replicas: number;
  /** Milliseconds for which what runs may give no answer before it is started anew: a control plane of a big mesh takes a while to begin. */
  readonly silenceMs: number;
  /** The environment of what is run. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
}

const slots = 256;
const indexes = 4;
/**
 * A mesh's ports, from its first one: its API, xDS of each revision, what API servers of members reach it by, and each revision's webhooks.
 * Those of a mesh stay where they are from version to version: callers elsewhere know them.
 */
const portsOfMesh = 16;
const ports = { api: 0, xds: 1, members: 1 + indexes, webhooks: 2 + indexes } as const;
/** Addresses that name no machine, and such as no other machine reaches. */
const everywhere: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);
const loopback = /^(?:127\.|::1$|localhost$)/;
/** Days for which credentials of a mesh's own processes are good. */
const days = 3650;
/** Milliseconds for which an API that was started is waited for. */
const apiLimitMs = 30_000;

/** Control planes of one revision at most. */
const mostReplicas = 9;

/** The names that control planes of a revision may have: that of the first is its own. No revision has a dot in its name. */
function allReplicas(revision: string): readonly string[] {
  return Array.from({ length: mostReplicas }, (_, at) => (at === 0 ? revision : `${revision}.${at + 1}`));
}

function flags(values: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(values).flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}`, value]));
}

/**
 * Runs each mesh as processes of this machine: a `weft server` with a store, keys and an authority of its own, and one or several `weft discovery` for each
 * revision, whose authority is kept in that store. They outlive the management plane, and nothing of one is told to another's.
 * Needs root, as `startProcess` does.
 */
export class ProcessRuntime implements MeshRuntime {
  readonly versions: readonly string[];
  readonly slots = slots;
  readonly indexes = indexes;
  readonly #options: ProcessRuntimeOptions;
  readonly #silence: Silence;

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options;
    this.#silence = new Silence(options.silenceMs, options.clock);
    this.versions = [...options.programs.keys()];
  }

  apiAddress({ slot }: MeshPlace): string {
    return `https://${this.#options.address}:${this.#port(slot) + ports.api}`;
  }

  xdsAddress({ slot }: MeshPlace, { index }: RevisionPlace): string {
    return `${this.#options.address}:${this.#port(slot) + ports.xds + index}`;
  }

  async ensureSpace({ mesh }: MeshPlace): Promise<void> {
    const layout = this.#layout(mesh);
    for (const folder of [layout.state, layout.run]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!existsSync(layout.encryptionKeys)) {
      writePrivate(layout.encryptionKeys, `${mesh} ${randomBytes(32).toString("base64")}\n`);
    }
    const server = `unix://${layout.apiSocket}`;
    const holders = [
      { file: layout.kubeconfig, user: "system:weft:management", group: ["system:masters"] },
      { file: layout.ownKubeconfig, user: "system:weft:discovery", group: [] },
    ];
    for (const { file, ...holder } of holders) {
      if (existsSync(file)) continue;
      const wanted = { ...holder, server, stateDir: layout.apiState, days, namespace: "default" };
      writePrivate(file, formatKubeconfig([await credentialContext("mesh", wanted, this.#options.clock)]));
    }
  }

  async removeSpace({ mesh }: MeshPlace): Promise<void> {
    const layout = this.#layout(mesh);
    for (const folder of [layout.run, layout.state]) rmSync(folder, { recursive: true, force: true });
  }

  async ensureApi(place: MeshPlace, { objects }: MeshQuotas): Promise<void> {
    const layout = this.#layout(place.mesh);
    const { address, serverNames, clock } = this.#options;
    const process = this.#process(layout, "server");
    await process.ensure(
      [
        this.#program(this.versions.at(-1) ?? ""),
        "server",
        "--secure",
        ...flags({
          store: layout.store,
          "encryption-keys": layout.encryptionKeys,
          "state-dir": layout.apiState,
          "run-dir": layout.run,
          "mesh-port": String(this.#port(place.slot) + ports.api),
          address,
          "max-objects": objects === undefined ? undefined : String(objects),
        }),
        ...this.#forMembers("--members-address", this.#port(place.slot) + ports.members),
        ...serverNames.flatMap((name) => ["--server-name", name]),
      ],
      this.#options.env,
    );
    const until = clock.monotonic() + apiLimitMs;
    using api = await MeshApi.open(layout.kubeconfig, clock);
    for (;;) {
      try {
        await api.ready();
        return this.#silence.note(layout.apiSocket, false);
      } catch (error) {
        const trouble = process.trouble();
        this.#silence.note(layout.apiSocket, trouble === undefined);
        if (this.#silence.isOver(layout.apiSocket)) process.kill();
        if (trouble !== undefined || clock.monotonic() > until) {
          throw new WeftError("Unavailable", `the mesh's API is not ready: ${trouble ?? "it does not answer"}`, error);
        }
      }
      await clock.sleep(100);
    }
  }

  async removeApi({ mesh }: MeshPlace): Promise<void> {
    await this.#process(this.#layout(mesh), "server").remove();
  }

  async applySettings({ mesh }: MeshPlace, settings: MeshSettings, before: MeshSettings): Promise<void> {
    using api = await MeshApi.open(this.#layout(mesh).kubeconfig, this.#options.clock);
    await api.applySettings(settings, before);
  }

  async ensureRevision(place: MeshPlace, revision: RevisionPlace, { proxies }: MeshQuotas): Promise<void> {
    const layout = this.#layout(place.mesh);
    const { name, version } = revision;
    const replicas = this.#replicas(name);
    for (const replica of replicas) {
      const process = this.#process(layout, `discovery-${replica}`);
      if (this.#silence.isOver(layout.statusSocket(replica))) process.kill();
      await process.ensure(
        [
          this.#program(version),
          "discovery",
          ...flags({
            revision: name,
            "mesh-api": layout.ownKubeconfig,
            "tls-socket": layout.adsSocket(replica),
            "tls-address": this.xdsAddress(place, revision),
            "status-socket": layout.statusSocket(replica),
            // What runs once in a mesh is done by one control plane of it.
            replica,
            "max-proxies": proxies === undefined ? undefined : String(proxies),
          }),
          // The mesh's users are not this machine's: their Clusters must not lead into another mesh's sockets.
          "--no-cluster-sockets",
          ...(replicas.length > 1 ? ["--share-ports"] : []),
          ...this.#forMembers("--webhook-address", this.#port(place.slot) + ports.webhooks + revision.index),
          ...this.#options.serverNames.flatMap((each) => ["--server-name", each]),
        ],
        this.#options.env,
      );
    }
    for (const surplus of allReplicas(name).slice(replicas.length)) await this.#removeReplica(layout, surplus);
  }

  async removeRevision({ mesh }: MeshPlace, { name }: RevisionPlace): Promise<void> {
    const layout = this.#layout(mesh);
    const replicas = allReplicas(name);
    await Promise.all(replicas.map(async (replica) => this.#removeReplica(layout, replica)));
    // Where the API does not run the mesh is being removed with all that is in it, and waits for nothing.
    if (this.#process(layout, "server").trouble() !== undefined) return;
    using api = await MeshApi.open(layout.kubeconfig, this.#options.clock);
    await api.forgetRevision(name, replicas);
  }

  async #removeReplica(layout: MeshLayout, replica: string): Promise<void> {
    await this.#process(layout, `discovery-${replica}`).remove();
    for (const socket of [layout.statusSocket(replica), layout.adsSocket(replica)]) rmSync(socket, { force: true });
  }

  async runs({ mesh }: MeshPlace, { name }: RevisionPlace): Promise<boolean> {
    return this.#running(mesh, name).length > 0;
  }

  async unready({ mesh }: MeshPlace, { name }: RevisionPlace): Promise<string | undefined> {
    const layout = this.#layout(mesh);
    const obstacles = await Promise.all(
      this.#replicas(name).map(async (replica) => {
        const trouble = this.#process(layout, `discovery-${replica}`).trouble();
        using status = this.#status(mesh, replica);
        const serves = trouble === undefined && (await status.serves());
        this.#silence.note(layout.statusSocket(replica), trouble === undefined && !serves);
        return serves ? undefined : (trouble ?? "it does not serve yet");
      }),
    );
    // Any of them serves all proxies.
    return obstacles.includes(undefined) ? undefined : `revision ${name}: ${obstacles[0] ?? ""}`;
  }

  async route(place: MeshPlace, { stable, canary, percentage }: Routing): Promise<void> {
    const layout = this.#layout(place.mesh);
    const revisions = [stable, ...(canary ? [canary] : [])];
    const addresses = Object.fromEntries(revisions.map((each) => [each.name, this.xdsAddress(place, each)]));
    const table = { stable: stable.name, percentage, addresses, ...(canary && { canary: canary.name }) };
    using api = await MeshApi.open(layout.kubeconfig, this.#options.clock);
    await api.writeRevisions(revisionsData(table));
    // In one step: the API server finds the one or the other.
    const link = `${layout.statusLink}.new`;
    rmSync(link, { force: true });
    symlinkSync(layout.statusSocket(stable.name), link);
    renameSync(link, layout.statusLink);
  }

  async proxies({ mesh }: MeshPlace, { name }: RevisionPlace): Promise<number> {
    return (await this.#asked(mesh, name, async (status) => status.proxies())).flat().length;
  }

  async objections({ mesh }: MeshPlace, { name }: RevisionPlace, from?: RevisionPlace): Promise<readonly string[]> {
    const proxies = await this.#asked(mesh, name, async (status) => status.proxies());
    const behind = proxies.flat().filter(({ synced }) => !synced);
    const stuck = behind.map(({ proxy, state }) => `${proxy} has not taken what it was sent (${state})`);
    if (stuck.length > 0 || !from || !(await this.runs({ mesh, slot: 0 }, from))) return stuck;
    const reports = async (revision: string): Promise<readonly RevisionReport[]> =>
      (await this.#asked(mesh, revision, async (status) => status.report())).flatMap((report) => report ?? []);
    const [before, after] = await Promise.all([reports(from.name), reports(name)]);
    // An earlier version of Weft does not tell what it finds.
    return before.length > 0 && after.length > 0 ? objectionsBetween(before, after) : [];
  }

  /** Asks each of a revision's control planes that run. @throws WeftError `Unavailable` where one of them, or where none runs, does not tell. */
  async #asked<T>(mesh: string, revision: string, ask: (status: RevisionStatus) => Promise<T>): Promise<readonly T[]> {
    const running = this.#running(mesh, revision);
    return Promise.all(
      (running.length > 0 ? running : [revision]).map(async (replica) => {
        using status = this.#status(mesh, replica);
        return ask(status);
      }),
    );
  }

  #replicas(revision: string): readonly string[] {
    return allReplicas(revision).slice(0, this.#options.replicas);
  }

  #running(mesh: string, revision: string): readonly string[] {
    const layout = this.#layout(mesh);
    return this.#replicas(revision).filter(
      (replica) => this.#process(layout, `discovery-${replica}`).trouble() === undefined,
    );
  }

  #status(mesh: string, replica: string): RevisionStatus {
    return new RevisionStatus(this.#layout(mesh).statusSocket(replica), this.#options.clock);
  }

  /** Has something served to clusters that join a mesh, which they reach by this machine's names where its address is none; nothing on loopback. */
  #forMembers(flag: string, port: number): readonly string[] {
    const { address, serverNames } = this.#options;
    if (loopback.test(address)) return [];
    const listen = [flag, `${address.includes(":") ? `[${address}]` : address}:${port}`];
    if (!everywhere.has(address)) return listen;
    const addresses = serverNames.filter((name) => isIP(name) !== 0);
    const hosts = addresses.length > 0 ? addresses : serverNames.slice(0, 1);
    return hosts.length === 0 ? [] : [...listen, ...hosts.flatMap((host) => ["--members-host", host])];
  }

  #port(slot: number): number {
    return this.#options.firstPort + slot * portsOfMesh;
  }

  #layout(mesh: string): MeshLayout {
    return meshLayout(this.#options, mesh);
  }

  #process(layout: MeshLayout, name: string): KeptProcess {
    return new KeptProcess(layout.process(name), this.#options.clock);
  }

  #program(version: string): string {
    const program = this.#options.programs.get(version);
    if (program !== undefined) return program;
    throw new WeftError(
      "FailedPrecondition",
      `version ${version} is not installed; there is ${this.versions.join(", ")}`,
    );
  }
}
