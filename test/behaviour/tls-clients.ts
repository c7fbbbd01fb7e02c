/** `openssl s_client` and `curl` as callers, inside a network namespace. */
import { spawn } from "node:child_process";
import { inside, namespacePath } from "#runtime/namespace.ts";

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Milliseconds after which a program that waits for its peer is ended. */
const patience = 20_000;

/** @param until ends the program when it has said so much. */
function run(namespace: string, argv: readonly string[], input = "", until?: RegExp): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const [command, ...args] = inside(namespacePath(namespace), argv);
  const child = spawn(command, args, { timeout: patience });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
    if (until?.test(stdout)) child.kill();
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  child.once("error", reject).once("close", (code) => resolve({ code, stdout, stderr }));
  // It may have ended before it reads.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  return promise;
}

/** Where a caller calls. */
export interface Called {
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
}

/** What openssl says of a handshake; each member where it has come so far. */
export interface Handshake {
  /** `TLSv1.3`. */
  readonly version?: string;
  readonly cipher?: string;
  /** The common name of the server's certificate. */
  readonly subject?: string;
  /** `OK`, or why the server's certificate is not verified. */
  readonly verified?: string;
  /** The status of the answer to a request. */
  readonly status?: string;
  /** Why there is no answer, in the words of the peer's alert, or of openssl's own: `unknown ca`; `closed` where none are said. */
  readonly refused?: string;
}

function found(text: string, pattern: RegExp): string | undefined {
  return pattern.exec(text)?.[1];
}

/** The members that are there. */
function present(members: Readonly<Record<keyof Handshake, string | undefined>>): Handshake {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/**
 * Opens a connection with `openssl s_client` and sends one request.
 * @param host the server name that is asked for; empty for none.
 * @param args such as `-tls1_2`, `-cipher`, `-cert`.
 */
export async function opensslClient(
  { namespace, address, port }: Called,
  host: string,
  args: readonly string[],
): Promise<Handshake> {
  const name = host === "" ? ["-noservername"] : ["-servername", host];
  const argv = ["openssl", "s_client", "-connect", `${address}:${port}`, ...name, "-brief", "-ign_eof", ...args];
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  // The gateway lets a caller wait for a second before it closes.
  const { stdout, stderr } = await run(namespace, argv, request, /^HTTP\/1\.1 \d+ /m);
  const status = found(stdout, /^HTTP\/1\.1 (\d+)/m);
  const said = found(stderr, /:SSL routines:[^:]*:(?:tlsv\d+ |sslv3 )?(?:alert )?([a-z ]+):/);
  return present({
    version: found(stderr, /^Protocol version: (\S+)/m),
    cipher: found(stderr, /^Ciphersuite: (\S+)/m),
    subject: found(stderr, /^Peer certificate: .*CN = (.+)$/m),
    verified: found(stderr, /^Verification(?: error)?: (.+)$/m),
    status,
    refused: said?.startsWith("unexpected eof") ? "closed" : (said ?? (status === undefined ? "closed" : undefined)),
  });
}

/** What curl says of a request. */
export interface Fetched {
  /** curl's own: 0, 35 for a handshake that failed, 56 for an answer that broke off, 60 for a certificate that is not taken. */
  readonly code: number | null;
  readonly status: string;
  /** `1.1` or `2`. */
  readonly http: string;
  readonly redirect: string;
  readonly body: string;
  readonly said: string;
}

/**
 * Asks for a page with curl, at `https://HOST:PORT/` or as the scheme says.
 * @param args such as `--cacert`, `--http1.1`.
 */
export async function curl(
  { namespace, address, port }: Called,
  host: string,
  args: readonly string[],
  scheme: "http" | "https" = "https",
): Promise<Fetched> {
  const told = String.raw`\n%{http_code} %{http_version} %{redirect_url}`;
  const url = `${scheme}://${host}:${port}/`;
  const resolve = `${host}:${port}:${address}`;
  const argv = ["curl", "-q", "-sS", "--noproxy", "*", "--resolve", resolve, "-w", told, ...args, url];
  const { code, stdout, stderr } = await run(namespace, argv);
  const lines = stdout.split("\n");
  const [status = "", http = "", redirect = ""] = (lines.at(-1) ?? "").split(" ");
  return { code, status, http, redirect, body: lines.slice(0, -1).join("\n"), said: stderr };
}
