import type { FieldError } from "../kind.ts";
import { type FieldPath, invalid, required } from "../field.ts";
import type { Probe } from "./probe.ts";

/** Names of ports as IANA registers services: at most 15 characters, one letter at least, no two dashes in a row. */
const portName = /^(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** Checks the name of a port. */
export function* validatePortName(name: string, path: FieldPath): Generator<FieldError> {
  if (portName.test(name)) return;
  const detail =
    "must be lower case letters, digits and single '-', with a letter or digit at both ends and one letter at least, at most 15 characters";
  yield invalid(path, name, detail);
}

/** Checks a port that is told by number or by name. */
export function* validatePortRef(port: number | string, path: FieldPath): Generator<FieldError> {
  if (typeof port === "string") yield* validatePortName(port, path);
  else if (port < 1 || port > 65_535) yield invalid(path, port, "must be between 1 and 65535");
}

const counts = [
  "initialDelaySeconds",
  "timeoutSeconds",
  "periodSeconds",
  "successThreshold",
  "failureThreshold",
] as const;

/** What is done to ask a container, or to tell it something. */
type Handler = Pick<Probe, "exec" | "httpGet" | "tcpSocket">;

/** Checks what is done to ask a container, or to tell it something. */
export function* validateHandler(handler: Handler, path: FieldPath): Generator<FieldError> {
  const { exec, httpGet, tcpSocket } = handler;
  if (exec !== undefined && !exec.command?.length) yield required(path.field("exec", "command"));
  if (httpGet !== undefined) yield* validatePortRef(httpGet.port, path.field("httpGet", "port"));
  if (tcpSocket !== undefined) yield* validatePortRef(tcpSocket.port, path.field("tcpSocket", "port"));
}

/**
 * Checks a probe.
 * @param once one success must count, as for liveness and start-up.
 */
export function* validateProbe(probe: Probe | undefined, once: boolean, path: FieldPath): Generator<FieldError> {
  if (probe === undefined) return;
  const { exec, httpGet, tcpSocket, grpc, successThreshold, terminationGracePeriodSeconds } = probe;
  if (exec === undefined && httpGet === undefined && tcpSocket === undefined && grpc === undefined) {
    yield required(path, "must specify a handler type");
  }
  yield* validateHandler(probe, path);
  for (const name of counts) {
    const count = probe[name] ?? 0;
    if (count < 0) yield invalid(path.field(name), count, "must be greater than or equal to 0");
  }
  if (once && successThreshold !== 1) yield invalid(path.field("successThreshold"), successThreshold, "must be 1");
  if (terminationGracePeriodSeconds !== undefined && terminationGracePeriodSeconds < 1) {
    const at = path.field("terminationGracePeriodSeconds");
    yield invalid(at, terminationGracePeriodSeconds, "must be greater than 0");
  }
}
