import { X509Certificate, createPrivateKey } from "node:crypto";
import { WeftError } from "#base/errors.ts";
import type { ServerAddress } from "./connection.ts";
import { KubeconfigDocument, type Mapping } from "./kubeconfig-document.ts";

/** Members of a cluster or a user that a kubeconfig from elsewhere may not have, why, and what to write in their place. */
type Refused = readonly (readonly [member: string, why: string])[];

const inPlace = (member: string): string => `names a file of another machine: put its content into ${member}-data`;

const refusedOfCluster: Refused = [
  ["certificate-authority", inPlace("certificate-authority")],
  [
    "insecure-skip-tls-verify",
    "would let anybody take the credentials: put the server's authority into certificate-authority-data",
  ],
  ["proxy-url", "is not followed: name a server that is reached without a proxy"],
];

const service = "use a service account's token or a client certificate";
const refusedOfUser: Refused = [
  ["exec", `would run a program in the control plane: ${service}`],
  ["auth-provider", `would run a plugin in the control plane: ${service}`],
  ["tokenFile", "names a file of another machine: put the token into token"],
  ["client-certificate", inPlace("client-certificate")],
  ["client-key", inPlace("client-key")],
  ["username", `is a way in that Kubernetes does not have any more: ${service}`],
  ["password", `is a way in that Kubernetes does not have any more: ${service}`],
  ["as", "is not followed: name a user that needs to be nobody else"],
];

function refuse(document: KubeconfigDocument, body: Mapping, where: string, refused: Refused): void {
  for (const [member, why] of refused) {
    const value = body[member];
    if (value === undefined || value === null || value === "" || value === false) continue;
    throw new WeftError("Unsupported", `${document.source}: ${where}.${member} ${why}`);
  }
}

/** PEM text in base64, checked by who reads it. */
function pemOf(
  document: KubeconfigDocument,
  body: Mapping,
  member: string,
  where: string,
  check: (pem: string) => unknown,
): string | undefined {
  const data = document.text(body, member, where);
  if (data === undefined) return undefined;
  const pem = Buffer.from(data, "base64").toString("utf8");
  try {
    check(pem);
  } catch {
    // What the parser says could hold the key.
    throw document.fault(`${where}.${member} is not base64 of PEM`);
  }
  return pem;
}

function certificateIn(pem: string): X509Certificate {
  return new X509Certificate(pem);
}

function checkedUrl(document: KubeconfigDocument, body: Mapping, where: string): string {
  const text = document.text(body, "server", where);
  if (text === undefined) throw document.fault(`${where} has no server`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:") throw document.fault(`${where}.server "${text}" must be https:// and a host`);
  if (url.username !== "" || url.search !== "" || url.hash !== "")
    throw document.fault(`${where}.server must be https://, a host, and perhaps a port and a path`);
  return text;
}

function credentialsOf(document: KubeconfigDocument, name: string): Partial<ServerAddress> {
  const body = document.entry("users", name);
  const where = `user "${name}"`;
  refuse(document, body, where, refusedOfUser);
  const token = document.text(body, "token", where);
  const cert = pemOf(document, body, "client-certificate-data", where, certificateIn);
  const key = pemOf(document, body, "client-key-data", where, createPrivateKey);
  if ((cert === undefined) !== (key === undefined))
    throw document.fault(`${where} has a client certificate or key without the other`);
  if (token === undefined && cert === undefined)
    throw document.fault(`${where} has neither token nor client-certificate-data: ${service}`);
  // Where both are given, API servers go by the certificate and others by the token: kubectl sends both, and so is done here.
  return {
    ...(token !== undefined && { token }),
    ...(cert !== undefined && key !== undefined && { certificate: cert, key }),
  };
}

/**
 * Reads the current context of a kubeconfig that somebody else wrote, whose credentials stand in it: nothing in it makes the reader
 * open files, run programs or trust any server.
 * @param source what messages call it; they hold no secrets.
 * @throws WeftError `InvalidArgument` or `Unsupported`; says the member and what to write in its place.
 */
export function readEmbeddedKubeconfig(text: string, source: string): ServerAddress {
  const document = KubeconfigDocument.parse(text, source);
  const name = document.text(document.root, "current-context", "kubeconfig");
  if (name === undefined) throw document.fault("current-context is not set");
  const context = document.entry("contexts", name);
  const where = `context "${name}"`;
  const cluster = document.text(context, "cluster", where);
  const user = document.text(context, "user", where);
  if (cluster === undefined) throw document.fault(`${where} names no cluster`);
  if (user === undefined) throw document.fault(`${where} names no user`);
  const body = document.entry("clusters", cluster);
  const of = `cluster "${cluster}"`;
  refuse(document, body, of, refusedOfCluster);
  const url = checkedUrl(document, body, of);
  const ca = pemOf(document, body, "certificate-authority-data", of, certificateIn);
  const serverName = document.text(body, "tls-server-name", of);
  return {
    url,
    ...(ca !== undefined && { ca }),
    ...(serverName !== undefined && { serverName }),
    ...credentialsOf(document, user),
  };
}

/** When the credentials of an address end, in milliseconds since the epoch; undefined where they do not say. */
export function credentialsEnd({ token, certificate: pem }: ServerAddress): number | undefined {
  const ends = [token === undefined ? undefined : tokenEnd(token), pem === undefined ? undefined : certificateEnd(pem)];
  const known = ends.filter((end) => end !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function certificateEnd(pem: string): number {
  return certificateIn(pem).validToDate.getTime();
}

/** `exp` of a JSON Web Token (RFC 7519); other tokens say nothing. */
function tokenEnd(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    const end = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof end === "number" ? end * 1000 : undefined;
  } catch {
    // Opaque to who uses it, as RFC 6750 has it.
    return undefined;
  }
}
