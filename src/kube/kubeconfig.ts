import { stringify } from "yaml";
import { WeftError } from "#base/errors.ts";
import type { ServerAddress } from "./connection.ts";
import { KubeconfigDocument } from "./kubeconfig-document.ts";

/** One context of a kubeconfig with everything it names, files read. */
export interface KubeContext {
  readonly name: string;
  readonly cluster: string;
  readonly user: string;
  /** The namespace that commands mean when none is given. */
  readonly namespace: string;
  readonly server: ServerAddress;
}

const refused: readonly (readonly [member: string, what: string])[] = [
  ["exec", "a credential plugin (exec)"],
  ["auth-provider", "an auth-provider"],
  ["username", "a user name and password"],
];

/** The address without members that are undefined. */
function compact(
  address: { [K in keyof ServerAddress]: ServerAddress[K] | undefined } & { url: string },
): ServerAddress {
  return Object.fromEntries(
    Object.entries(address).filter(([, value]) => value !== undefined),
  ) as unknown as ServerAddress;
}

async function clusterOf(file: KubeconfigDocument, name: string): Promise<ServerAddress> {
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

async function userOf(file: KubeconfigDocument, name: string): Promise<Partial<ServerAddress>> {
  if (name === "") return {};
  const body = file.entry("users", name);
  const where = `user "${name}"`;
  for (const [member, what] of refused) {
    if (body[member] === undefined || body[member] === null) continue;
    throw new WeftError("Unsupported", `${file.source}: ${where} has ${what}; use a token or a client certificate`);
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
  const file = await KubeconfigDocument.read(path);
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
