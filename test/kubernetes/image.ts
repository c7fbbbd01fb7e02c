import { createHash } from "node:crypto";
import {
  copyFileSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { command } from "#runtime/command.ts";
import { folderPrefix } from "./run.ts";

/** A container image that is made of a folder. */
interface ImageSpec {
  /** With registry and tag, as Pods name it. */
  readonly name: string;
  /** What becomes its file system. */
  readonly folder: string;
  /** What is run in it unless a Pod tells. */
  readonly entrypoint?: readonly string[];
}

/** An image as an archive that container runtimes import. */
export interface Image extends Disposable {
  readonly name: string;
  readonly archive: string;
}

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

/** Packs a folder as an image of one layer, in the layout of the OCI's image specification. */
export async function packImage({ name, folder, entrypoint = [] }: ImageSpec): Promise<Image> {
  const root = mkdtempSync(join(tmpdir(), folderPrefix));
  const blobs = join(root, "layout", "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const layer = join(root, "layer.tar");
  await command(["tar", "--create", "--numeric-owner", "--owner=0", "--group=0", "--file", layer, "-C", folder, "."]);
  const layerDigest = await digestOf(layer);
  const size = Number(await command(["stat", "--format=%s", layer]));
  renameSync(layer, join(blobs, layerDigest));
  const blob = (value: object): { readonly digest: string; readonly size: number } => {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, digest), bytes);
    return { digest: `sha256:${digest}`, size: bytes.length };
  };
  const type = (what: string): { readonly mediaType: string } => ({ mediaType: `application/vnd.oci.image.${what}` });
  const config = blob({
    architecture: architectures[process.arch],
    os: "linux",
    config: { Entrypoint: entrypoint, Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${layerDigest}`] },
  });
  const manifest = blob({
    schemaVersion: 2,
    ...type("manifest.v1+json"),
    config: { ...type("config.v1+json"), ...config },
    layers: [{ ...type("layer.v1.tar"), digest: `sha256:${layerDigest}`, size }],
  });
  const named = { ...type("manifest.v1+json"), ...manifest, annotations: { "io.containerd.image.name": name } };
  writeFileSync(join(root, "layout", "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  writeFileSync(join(root, "layout", "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const archive = join(root, "image.tar");
  await command(["tar", "--create", "--file", archive, "-C", join(root, "layout"), "."]);
  rmSync(join(root, "layout"), { recursive: true });
  return { name, archive, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

/** Files that a program is linked with, by absolute paths. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const text = await command(["ldd", program]).catch(() => "");
  return [...text.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!);
}

/** Puts one of this machine's programs, with what it is linked with, into a folder that becomes an image. */
export async function addProgram(folder: string, program: string, path = program): Promise<void> {
  for (const [source, target] of [[program, path], ...(await librariesOf(program)).map((each) => [each, each])]) {
    const place = join(folder, target!);
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(source!, place);
  }
}

export async function pathOf(program: string): Promise<string> {
  return (await command(["which", program])).trim();
}

/**
 * An image with BusyBox, whose shell and servers make Pods for tests, and with other programs of this machine. What it runs unless
 * told waits for ever. Files are told as their paths in the image, and where they come from.
 */
export async function toolsImage(
  name: string,
  programs: readonly string[] = [],
  files: Readonly<Record<string, string>> = {},
): Promise<Image> {
  const folder = mkdtempSync(join(tmpdir(), folderPrefix));
  try {
    await addProgram(folder, await pathOf("busybox"), "/bin/busybox");
    const applets = (await command(["busybox", "--list"])).trim().split("\n");
    for (const applet of applets) if (applet !== "busybox") symlinkSync("busybox", join(folder, "bin", applet));
    for (const empty of ["tmp", "etc", "root"]) mkdirSync(join(folder, empty));
    for (const program of programs) await addProgram(folder, await pathOf(program));
    for (const [path, source] of Object.entries(files)) await addProgram(folder, source, path);
    return await packImage({ name, folder, entrypoint: ["/bin/sleep", "infinity"] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
