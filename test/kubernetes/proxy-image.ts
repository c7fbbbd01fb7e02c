import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addProgram, type Image, packImage, pathOf } from "./image.ts";
import { folderPrefix } from "./run.ts";

const root = join(import.meta.dirname, "..", "..");

/** Packages that Weft itself needs at run time, by their folders. */
function packages(): readonly string[] {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
  };
  const entries = Object.entries(lock.packages).filter(([path, { dev, optional }]) => path !== "" && !dev && !optional);
  return entries.map(([path]) => path);
}

/** What a node's agent runs, beside Envoy and Node. */
const nodePrograms = [
  "nsenter",
  "unshare",
  "setsid",
  "setpriv",
  "mount",
  "awk",
  "date",
  "iptables",
  "iptables-save",
  "ebtables",
];

/** What shells of the image, hooks and probes among them, find beside. */
const applets = ["cat", "env", "mkdir", "mkfifo", "mv", "rm", "sleep", "tail", "wget"];

/** Programs of the image: Istio's name of its agent, and Weft's own command. */
const scripts = {
  "pilot-agent":
    'exec /usr/bin/node --disable-warning=ExperimentalWarning --max-semi-space-size=2 /opt/weft/src/cli/weft.ts pilot-agent "$@"',
  weft: 'exec /usr/bin/node --disable-warning=ExperimentalWarning --max-semi-space-size=8 --heap-growing-percent=100 /opt/weft/src/cli/weft.ts "$@"',
} as const;

/**
 * The image of injected containers, of nodes' agents and of the control plane: this checkout's agent under the name of Istio's, `weft`, Node, Envoy, and
 * what sets rules of capture, as they are on this machine.
 */
export async function proxyImage(name: string): Promise<Image> {
  const folder = mkdtempSync(join(tmpdir(), folderPrefix));
  try {
    await addProgram(folder, await pathOf("busybox"), "/bin/busybox");
    // BusyBox' own shell prefers its applets to programs, which take other flags.
    await addProgram(folder, await pathOf("dash"), "/bin/sh");
    for (const applet of applets) symlinkSync("busybox", join(folder, "bin", applet));
    await addProgram(folder, process.execPath, "/usr/bin/node");
    const envoy = readFileSync(join(root, "build", "envoy.path"), "utf8").trim();
    await addProgram(folder, envoy, "/usr/local/bin/envoy");
    await addProgram(folder, await pathOf("iptables-restore"), "/usr/sbin/iptables-restore");
    for (const program of nodePrograms) await addProgram(folder, await pathOf(program), `/usr/bin/${program}`);
    const bpf = execFileSync(process.execPath, ["setup/bpf.ts"], { cwd: root, encoding: "utf8" }).trim();
    cpSync(bpf, join(folder, "usr", "local", "lib", "weft", "bpf"), { recursive: true });
    const extensions = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/xtables`;
    cpSync(extensions, join(folder, extensions), { recursive: true });
    const weft = join(folder, "opt", "weft");
    mkdirSync(weft, { recursive: true });
    for (const part of ["src", "package.json", ...packages()])
      cpSync(join(root, part), join(weft, part), { recursive: true, dereference: true });
    for (const empty of ["tmp", "etc", "root", "run"]) mkdirSync(join(folder, empty), { recursive: true });
    for (const [program, line] of Object.entries(scripts)) {
      writeFileSync(join(folder, "usr", "bin", program), `#!/bin/sh\n${line}\n`);
      chmodSync(join(folder, "usr", "bin", program), 0o755);
    }
    return await packImage({ name, folder, entrypoint: ["/usr/bin/pilot-agent"] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
