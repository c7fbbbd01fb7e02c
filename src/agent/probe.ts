import { spawn } from "node:child_process";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { Container } from "#api/kubernetes/container.ts";
import type { Probe } from "#api/kubernetes/probe.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";

/** Whom a probe asks. */
export interface ProbeTarget {
  /** The Pod's address. */
  readonly address: string;
  /** The address that it is asked from, which the Pod's capture lets through to the application; any of the node's unless told. */
  readonly source?: string;
  readonly ports: NonNullable<Container["ports"]>;
  /** Makes a command line one that runs as in the container, or undefined while that does not run. */
  readonly inContainer: (command: readonly string[]) => readonly [string, ...string[]] | undefined;
}

/** How a probe went. */
export interface ProbeResult {
  readonly ok: boolean;
  /** For people. */
  readonly message: string;
}

/** Bytes of a command's output that are told when it fails. */
const outputLimit = 1024;

function portOf(port: string | number, target: ProbeTarget): number {
  if (typeof port === "number") return port;
  const named = target.ports.find(({ name }) => name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(named)) throw new Error(`the container has no port named ${port}`);
  return named;
}

/** What a question to the Pod, not to another host, is asked from. */
function sourceOf({ source }: ProbeTarget, host: string | undefined): { readonly localAddress?: string } {
  return source === undefined || host !== undefined ? {} : { localAddress: source };
}

type HttpGet = NonNullable<Probe["httpGet"]>;

function askHttp(get: HttpGet, target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  const host = get.host ?? target.address;
  const port = portOf(get.port, target);
  const secure = get.scheme === "HTTPS";
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.36", accept: "*/*", connection: "close" };
  for (const { name, value } of get.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  // From the probes' own address the Pod's proxy is passed by: its readiness is not the application's.
  const from = sourceOf(target, get.host);
  const options = { host, port, path: get.path, headers, signal, agent: false, ...from };
  return new Promise((resolve, reject) => {
    const request = secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    request.once("error", reject);
    request.once("response", (response) => {
      const code = response.statusCode ?? 0;
      response.destroy();
      resolve({ ok: code >= 200 && code < 400, message: `HTTP probe failed with statuscode: ${code}` });
    });
    request.end();
  });
}

function askTcp(
  probe: NonNullable<Probe["tcpSocket"]>,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const from = sourceOf(target, probe.host);
  const socket = connect({ host: probe.host ?? target.address, port: portOf(probe.port, target), ...from });
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", stop, { once: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.destroy();
      signal.removeEventListener("abort", stop);
      resolve({ ok: true, message: "" });
    });
  });
}

function askCommand(command: readonly string[], target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  const argv = target.inContainer(command);
  if (argv === undefined) return Promise.resolve({ ok: false, message: "the container does not run" });
  const [program, ...args] = argv;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], signal, killSignal: "SIGKILL" });
  let output = "";
  const collect = (chunk: Buffer): void => {
    if (output.length < outputLimit) output += chunk.toString("utf8");
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ ok: code === 0, message: output.slice(0, outputLimit).trim() }));
  });
}

function ask(probe: Probe, target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  if (probe.httpGet !== undefined) return askHttp(probe.httpGet, target, signal);
  if (probe.tcpSocket !== undefined) return askTcp(probe.tcpSocket, target, signal);
  if (probe.exec !== undefined) return askCommand(probe.exec.command ?? [], target, signal);
  return Promise.resolve({ ok: false, message: "probes by gRPC are not known to this node" });
}

/** Puts a probe's question once; never rejects, and is over when the probe's time is. */
export async function runProbe(
  probe: Probe,
  target: ProbeTarget,
  clock: Clock,
  stop: AbortSignal,
): Promise<ProbeResult> {
  const elapsed = new AbortController();
  const timer = clock.after(probe.timeoutSeconds * 1000, () => elapsed.abort(new Error("it took too long")));
  try {
    return await ask(probe, target, AbortSignal.any([stop, elapsed.signal]));
  } catch (error) {
    const message = elapsed.signal.aborted ? `no answer within ${probe.timeoutSeconds} s` : messageOf(error);
    return { ok: false, message };
  } finally {
    timer[Symbol.dispose]();
  }
}
