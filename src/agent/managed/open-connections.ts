import { readFileSync } from "node:fs";
import { probeAddress } from "#runtime/fabric.ts";

/** A TCP connection as the kernel's table of a network namespace has it. */
export interface OpenConnection {
  readonly local: string;
  readonly remote: string;
  readonly uid: number;
  /** Whether it is open: neither being made nor being ended. */
  readonly open: boolean;
}

/** States of the kernel's table: that of an open connection, and those in which nobody holds one any more, or not yet. */
const established = "01";
const unheld: ReadonlySet<string> = new Set(["06", "07", "0A"]);
const outboundPort = 15_001;
const inboundPort = 15_006;

/** An address of `/proc/net/tcp`: words of four bytes in the machine's order. */
function addressText(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  if (bytes.length === 4) return bytes.join(".");
  // IPv4 by a socket of both families.
  if (bytes.subarray(0, 12).equals(Buffer.from("00000000000000000000ffff", "hex"))) return bytes.subarray(12).join(".");
  return `[${(bytes.toString("hex").match(/.{4}/g) ?? []).join(":")}]`;
}

function endText(end: string): string {
  const [address = "", port = "0"] = end.split(":");
  return `${addressText(address)}:${Number.parseInt(port, 16)}`;
}

/** Reads `/proc/PID/net/tcp` or `tcp6`. */
export function readConnections(table: string): readonly OpenConnection[] {
  const rows = table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
  return rows
    .filter(([, , , state]) => state !== undefined && !unheld.has(state))
    .map(([, local = "", remote = "", state, , , , uid]) => ({
      local: endText(local),
      remote: endText(remote),
      uid: Number(uid),
      open: state === established,
    }));
}

/** The connections of the network namespace of a process. */
export function connectionsOf(pid: number): readonly OpenConnection[] {
  return ["tcp", "tcp6"].flatMap((name) => {
    try {
      return readConnections(readFileSync(`/proc/${pid}/net/${name}`, "utf8"));
    } catch {
      return [];
    }
  });
}

const isOwn = (end: string): boolean => end.startsWith("127.") || end.startsWith(`${probeAddress}:`);

/** A connection in words. */
export function connectionText({ local, remote }: OpenConnection): string {
  return `${local} with ${remote}`;
}

/**
 * Connections of the application that its proxy does not have: those that are older than the rules of capture.
 * @param proxy the proxy's user.
 */
export function outside(all: readonly OpenConnection[], proxy: number): readonly OpenConnection[] {
  // What is captured has its other end at the proxy.
  const captured = new Set(all.filter(({ local }) => local.endsWith(`:${outboundPort}`)).map(({ remote }) => remote));
  return all.filter(({ local, remote, uid }) => uid !== proxy && !isOwn(remote) && !captured.has(local));
}

/** How many connections of the application its proxy has, by that one's user. */
export function captured(all: readonly OpenConnection[], proxy: number): number {
  return all.filter(
    ({ local, uid }) => uid === proxy && (local.endsWith(`:${outboundPort}`) || local.endsWith(`:${inboundPort}`)),
  ).length;
}
