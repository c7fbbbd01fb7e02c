import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { WeftError, messageOf } from "#base/errors.ts";
import type { ServerAddress } from "./connection.ts";

/** One context of a kubeconfig with everything it names, files read. */
export interface KubeContext {
  readonly name: string;
  readonly cluster: string;
  readonly user: string;
  /** The namespace that commands mean when none is given. */
  readonly namespace: string;
  readonly server: ServerAddress;
}

type Mapping = Readonly<Record<string, unknown>>;

const refused: readonly (readonly [member: string, what: string])[] = [
  ["exec", "a credential plugin (exec)"],
  ["auth-provider", "an auth-provider"],
  ["username", "a user name and password"],
];

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads one file's mappings, and says which file and which member is wrong. */
class KubeconfigFile {
  readonly path: string;
  readonly root: Mapping;

  constructor(path: string, root: Mapping) {
    this.path = path;
    this.root = root;
  }

  static async read(path: string): Promise<KubeconfigFile> {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      throw new WeftError("NotFound", `kubeconfig ${path} cannot be read`, error);
    }
    try {
      const root: unknown = parse(text);
      if (isMapping(root)) return new KubeconfigFile(path, root);
    } catch (error) {
      throw new WeftError("InvalidArgument", `kubeconfig ${path} is not YAML`, error);
    }
    throw new WeftError("InvalidArgument", `kubeconfig ${path} holds no mapping`);
  }

  fault(message: string): WeftError {
    return new WeftError("InvalidArgument", `kubeconfig ${this.path}: ${message}`);
  }

  /** The entry of that name in `clusters`, `users` or `contexts`. */
  entry(list: "clusters" | "users" | "contexts", name: string): Mapping {
    const member = list.slice(0, -1);
    const entries = this.root[list];
    const names: string[] = [];
    for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
      if (!isMapping(entry) || typeof entry["name"] !== "string") throw this.fault(`an entry of ${list} has no name`);
      names.push(entry["name"]);
      if (entry["name"] !== name) continue;
      const body = entry[member] ?? {};
      if (isMapping(body)) return body;
      throw this.fault(`${list} "${name}" is not a mapping`);
    }
    const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    throw this.fault(`there is no ${member} "${name}" (${known})`);
  }

  text(body: Mapping, member: string, where: string): string | undefined {
    const value = body[member];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw this.fault(`${where}.${member} is not text`);
    return value;
  }

  /** PEM text given in place (`<member>-data`, base64) or as a file, whose path is relative to the kubeconfig. */
  async pem(body: Mapping, member: string, where: string): Promise<string | undefined> {
    const data = this.text(body, `${member}-data`, where);
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    const file = this.text(body, member, where);
    if (file === undefined) return undefined;
    try {
      return await readFile(this.relative(file), "utf8");
    } catch (error) {
      throw this.fault(`${where}.${member}: ${messageOf(error)}`);
    }
  }

  relative(path: string): string {
    return resolve(dirname(this.path), path);
  }
}

/** The address without members that are undefined. */
function compact(
  address: { [K in keyof ServerAddress]: ServerAddress[K] | undefined } & { url: string },
): ServerAddress {
  return Object.fromEntries(
    Object.entries(address).filter(([, value]) => value !== undefined),
  ) as unknown as ServerAddress;
}

async function clusterOf(file: KubeconfigFile, name: string): Promise<ServerAddress> {
  const body = file.entry("clusters", name);
  const where = `cluster "${name}"`;
  const url = file.text(body, "server", where);
  if (url === undefined) throw file.fault(`${where} has no server`);
  return compact({
    url,
    ca: await file.pem(body, "certificate-authority", where),
    serverName: file.text(body, "tls-server-name", where),
    insecure: body["insecure-skip-tls-verify"] === true ? true : undefined,
  });
}

async function userOf(file: KubeconfigFile, name: string): Promise<Partial<ServerAddress>> {
  if (name === "") return {};
  const body = file.entry("users", name);
  const where = `user "${name}"`;
  for (const [member, what] of refused) {
    if (body[member] === undefined || body[member] === null) continue;
    throw new WeftError(
      "Unsupported",
      `kubeconfig ${file.path}: ${where} has ${what}; use a token or a client certificate`,
    );
  }
  const token = file.text(body, "token", where);
  const tokenFile = file.text(body, "tokenFile", where);
  const { url: _url, ...credentials } = compact({
    url: "",
    certificate: await file.pem(body, "client-certificate", where),
    key: await file.pem(body, "client-key", where),
    token,
    tokenFile: token === undefined && tokenFile !== undefined ? file.relative(tokenFile) : undefined,
  });
  if ((credentials.certificate === undefined) !== (credentials.key === undefined))
    throw file.fault(`${where} has a client certificate or key without the other`);
  return credentials;
}

/**
 * Reads one context of a kubeconfig file; the current one unless named.
 * @throws WeftError `NotFound` (no such file), `InvalidArgument` (names the file and the member) or `Unsupported`
 * (credentials that only a plugin can make).
 */
export async function readKubeconfig(path: string, context?: string): Promise<KubeContext> {
  const file = await KubeconfigFile.read(path);
  const name = context ?? file.text(file.root, "current-context", "kubeconfig");
  if (name === undefined) throw file.fault("no current-context is set; name a context");
  const body = file.entry("contexts", name);
  const where = `context "${name}"`;
  const cluster = file.text(body, "cluster", where);
  if (cluster === undefined) throw file.fault(`${where} names no cluster`);
  const user = file.text(body, "user", where) ?? "";
  const namespace = file.text(body, "namespace", where) ?? "default";
  const server = { ...(await clusterOf(file, cluster)), ...(await userOf(file, user)) };
  return { name, cluster, user, namespace, server };
}

function base64(pem: string | undefined): string | undefined {
  return pem === undefined ? undefined : Buffer.from(pem).toString("base64");
}

function distinct(entries: readonly { readonly name: string }[]): readonly object[] {
  return [...new Map(entries.map((entry) => [entry.name, entry])).values()];
}

/** A kubeconfig of some contexts as YAML, certificates in place; the first context is the current one. */
export function formatKubeconfig(contexts: readonly KubeContext[]): string {
  const clusters = contexts.map(({ cluster, server }) => ({
    name: cluster,
    cluster: {
      server: server.url,
      "certificate-authority-data": base64(server.ca),
      "tls-server-name": server.serverName,
      "insecure-skip-tls-verify": server.insecure,
    },
  }));
  const users = contexts.map(({ user, server }) => ({
    name: user,
    user: {
      token: server.token,
      tokenFile: server.tokenFile,
      "client-certificate-data": base64(server.certificate),
      "client-key-data": base64(server.key),
    },
  }));
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: distinct(clusters),
    users: distinct(users),
    contexts: contexts.map(({ name, cluster, user, namespace }) => ({ name, context: { cluster, user, namespace } })),
    "current-context": contexts[0]?.name ?? "",
  });
}

/**
 * The API that a text names: a URL, where no credential is needed, or else the path of a kubeconfig, whose current context is meant.
 * @throws WeftError as `readKubeconfig`.
 */
export async function apiAddress(text: string): Promise<ServerAddress> {
  return /^(?:https?|unix):/.test(text) ? { url: text } : (await readKubeconfig(text)).server;
}
