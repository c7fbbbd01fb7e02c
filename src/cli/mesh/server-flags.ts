import { accessSync, constants } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { WeftError } from "#base/errors.ts";
import type { ServerOptions } from "#server/server.ts";
import { durationValue, wholeNumber } from "../output.ts";
import { weftProgram } from "../service.ts";
import { weftVersion } from "../version.ts";

/** Flags of a server that runs meshes. */
export interface MeshesFlags {
  readonly meshesDir?: string;
  readonly meshesPort?: number;
  readonly release?: ReadonlyMap<string, string>;
  readonly meshImage?: ReadonlyMap<string, string>;
  readonly meshesSilence?: number;
  readonly meshesReplicas?: number;
  readonly runDir: string;
  readonly address?: string;
  readonly serverName?: readonly string[];
}

/** Reads `VERSION=PROGRAM`. */
function release(text: string, before: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  const [, version, program] = /^([^=]+)=(\/.+)$/.exec(text) ?? [];
  if (version === undefined || program === undefined) {
    throw new InvalidArgumentError("write it as 1.4.0=/opt/weft-1.4.0/weft.");
  }
  return new Map([...before, [version, program]]);
}

/** Reads `VERSION=IMAGE`. */
function meshImage(text: string, before: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  const [, version, image] = /^([^=]+)=(\S+)$/.exec(text) ?? [];
  if (version === undefined || image === undefined) {
    throw new InvalidArgumentError("write it as 1.4.0=registry.example/weft:1.4.0.");
  }
  return new Map([...before, [version, image]]);
}

/** Adds the flags to `weft server`. */
export function withMeshesFlags(command: Command): Command {
  return command
    .option(
      "--meshes-dir <folder>",
      "run the control planes of Mesh objects with the mode Managed, and keep their state there; needs root and --meshes-port",
    )
    .option(
      "--meshes-port <port>",
      "first port of their APIs and control planes: each mesh has sixteen",
      wholeNumber(1, 61_000),
    )
    .option(
      "--release <version=program>",
      "another version of Weft that they may run, oldest first; this one is the newest; may be repeated",
      release,
    )
    .option(
      "--mesh-image <version=image>",
      "run the control planes of Mesh objects with the mode StandAlone in their clusters, by this image of a version, oldest first; may be repeated",
      meshImage,
    )
    .option(
      "--meshes-replicas <number>",
      "control planes of each of their revisions, which share its ports, so that one may die (default: 1)",
      wholeNumber(1, 9),
    )
    .option(
      "--meshes-silence <duration>",
      "how long what is run for them may give no answer before it is started anew (default: 90s)",
      durationValue,
    );
}

/** What a server is told of meshes to run; undefined where it runs none. */
export function meshesOf(flags: MeshesFlags): ServerOptions["meshes"] {
  const { meshesDir, meshesPort, release: releases = new Map<string, string>(), runDir, address } = flags;
  if (meshesDir === undefined || meshesPort === undefined) {
    if (meshesDir === undefined && meshesPort === undefined && releases.size === 0) return undefined;
    throw new WeftError("InvalidArgument", "give --meshes-dir and --meshes-port together, and --release with them");
  }
  if (process.getuid?.() !== 0) throw new WeftError("PermissionDenied", "--meshes-dir needs root");
  for (const [version, program] of releases) {
    try {
      accessSync(program, constants.X_OK);
    } catch (error) {
      throw new WeftError("InvalidArgument", `--release ${version}: ${program} cannot be run`, error);
    }
  }
  const programs = new Map([...releases, [weftVersion(), weftProgram]]);
  return {
    state: resolve(meshesDir),
    run: join(resolve(runDir), "meshes"),
    address: address ?? "127.0.0.1",
    serverNames: flags.serverName ?? [],
    firstPort: meshesPort,
    programs,
    replicas: flags.meshesReplicas ?? 1,
    silenceMs: flags.meshesSilence ?? 90_000,
    env: environment(),
  };
}

/** Of this process's environment what its children need. */
function environment(): Readonly<Record<string, string>> {
  const names = ["PATH", "HOME", "WEFT_CACHE", "NODE_COMPILE_CACHE"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
