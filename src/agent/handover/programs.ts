import { createHash } from "node:crypto";
import { createReadStream, readFileSync, rmSync, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { isObject } from "#api/json.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { command } from "#runtime/command.ts";
import type { AgentLayout } from "../layout.ts";
import type { ProxyOptions } from "../options.ts";
import { keptProgram } from "../proxy.ts";
import type { ProxyProgram } from "./record.ts";

/** A build of Envoy, with what it says of itself. */
export interface KnownProgram extends ProxyProgram {
  /** Only builds that say the same here hand over to each other. */
  readonly handsOver: string;
}

/** Where an agent has its Envoys from. */
export interface EnvoyProgramOptions {
  /** Path of the agent's own copy of the usual one. */
  readonly usual: string;
  /** A JSON file of others, by their versions: `{ "1.37.0": { "program": PATH, "sha256": HEX } }`; absent for none. */
  readonly catalog?: string;
  /** Folder of the agent's copies. */
  readonly folder: string;
}

/** Milliseconds that a program gets to say what it is. */
const saysMs = 10_000;

interface Entry {
  readonly program: string;
  readonly sha256: string;
}

function entryOf(value: unknown): Entry | undefined {
  if (!isObject(value)) return undefined;
  const { program, sha256 } = value;
  if (typeof program !== "string" || !program.startsWith("/")) return undefined;
  return typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256) ? { program, sha256 } : undefined;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** The builds of Envoy that an agent may run. None is run before its hash and what it says of itself were checked. */
export class EnvoyPrograms {
  readonly #options: EnvoyProgramOptions;
  /** What was found out of files, by all that tells one file from another. */
  readonly #known = new Map<string, Promise<KnownProgram>>();

  constructor(options: EnvoyProgramOptions) {
    this.#options = options;
  }

  /** The build that proxies are first started with. */
  async usual(): Promise<KnownProgram> {
    return this.describe(this.#options.usual);
  }

  /**
   * A build by its version.
   * @throws WeftError `NotFound` for one that this node does not have, `FailedPrecondition` for one that is not what it should be.
   */
  async find(version: string): Promise<KnownProgram> {
    const entries = this.#entries();
    const entry = entries.get(version);
    const usual = await this.usual();
    if (entry === undefined && usual.version === version) return usual;
    const catalog = this.#options.catalog ?? "no list of others";
    if (entry === undefined) {
      const known = [...new Set([usual.version, ...entries.keys()])].join(", ");
      throw new WeftError("NotFound", `this node has no Envoy ${version}, only ${known} (${catalog})`);
    }
    const kept = this.#keep(version, entry);
    const found = await this.describe(kept, entry.sha256);
    if (found.version === version) return found;
    throw new WeftError(
      "FailedPrecondition",
      `${entry.program} is Envoy ${found.version}, not ${version} (${catalog})`,
    );
  }

  /**
   * What is known of a program's file.
   * @param wanted the hash that it must have; without it, it is not run.
   */
  async describe(path: string, wanted?: string): Promise<KnownProgram> {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    const key = [path, ino, size, mtimeMs, ctimeMs, wanted].join(" ");
    const known = this.#known.get(key) ?? this.#ask(path, wanted);
    this.#known.set(key, known);
    try {
      return await known;
    } catch (error) {
      this.#known.delete(key);
      throw error;
    }
  }

  #keep(version: string, { program }: Entry): string {
    try {
      return keptProgram(program, this.#options.folder);
    } catch (error) {
      throw new WeftError("FailedPrecondition", `Envoy ${version} cannot be read: ${messageOf(error)}`, error);
    }
  }

  #entries(): ReadonlyMap<string, Entry> {
    const { catalog } = this.#options;
    if (catalog === undefined) return new Map();
    try {
      const read: unknown = JSON.parse(readFileSync(catalog, "utf8"));
      if (!isObject(read)) throw new Error("it is no map");
      return new Map(
        Object.entries(read).map(([version, value]) => {
          const entry = entryOf(value);
          if (entry === undefined) throw new Error(`${version} lacks "program", an absolute path, or "sha256"`);
          return [version, entry];
        }),
      );
    } catch (error) {
      throw new WeftError("FailedPrecondition", `the list of Envoys ${catalog}: ${messageOf(error)}`, error);
    }
  }

  async #ask(path: string, wanted: string | undefined): Promise<KnownProgram> {
    const sha256 = await hashOf(path);
    if (wanted !== undefined && wanted !== sha256) {
      // What is not as it should be is copied anew when it is asked for again.
      rmSync(path, { force: true });
      throw new WeftError("FailedPrecondition", `the program's SHA-256 is ${sha256}, not ${wanted}: it is corrupt`);
    }
    const [said, handsOver] = await Promise.all([
      this.#say(path, "--version"),
      this.#say(path, "--hot-restart-version"),
    ]);
    const version = /version: [0-9a-f]+\/([^/]+)\//.exec(said)?.[1];
    if (version !== undefined) return { version, path, sha256, handsOver: handsOver.trim() };
    throw new WeftError("FailedPrecondition", `${path} is no Envoy: it says ${said.trim().slice(0, 200)}`);
  }

  async #say(path: string, flag: string): Promise<string> {
    try {
      return await command([path, flag], { signal: AbortSignal.timeout(saysMs) });
    } catch (error) {
      throw new WeftError("FailedPrecondition", `the program does not run: ${messageOf(error)}`, error);
    }
  }
}

/** The Envoys of an agent that begins. */
export function envoysOf(
  { envoy: { program, others } }: ProxyOptions,
  layout: AgentLayout,
): { readonly envoy: string; readonly envoys: EnvoyPrograms } {
  const envoy = keptProgram(program, layout.programs);
  const from = others === undefined ? {} : { catalog: others };
  return { envoy, envoys: new EnvoyPrograms({ usual: envoy, folder: layout.programs, ...from }) };
}
