import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { probeAddress } from "#runtime/fabric.ts";

/** A TCP connection as the kernel's table of a network namespace has it. */
export interface OpenConnection {
  readonly local: string;
  readonly remote: string;
  readonly uid: number;
  /** Whether it is open: neither being made nor being ended. */
  readonly open: boolean;
  /** Whether something listens at its own end's port. */
  readonly served: boolean;
}

/** States of the kernel's table: that of an open connection, and those in which nobody holds one any more, or not yet. */
const established = "01";
const listening = "0A";
const unheld: ReadonlySet<string> = new Set(["06", "07", listening]);
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

const portOf = (end: string): number => Number(end.slice(end.lastIndexOf(":") + 1));

/**
 * Reads `/proc/PID/net/tcp` or `tcp6`, or both one after the other.
 * @param held the sockets that are told of, by their numbers; all unless told.
 */
export function readConnections(tables: string, held?: ReadonlySet<string>): readonly OpenConnection[] {
  const rows = tables
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state = ""]) => /^[0-9A-F]{2}$/.test(state))
    .map(([, local = "", remote = "", state = "", , , , uid, , socket = ""]) => {
      return { local: endText(local), remote: endText(remote), state, uid: Number(uid), socket };
    });
  const served = new Set(rows.filter(({ state }) => state === listening).map(({ local }) => portOf(local)));
  return rows
    .filter(({ state, socket }) => !unheld.has(state) && held?.has(socket) !== false)
    .map(({ local, remote, state, uid }) => {
      return { local, remote, uid, open: state === established, served: served.has(portOf(local)) };
    });
}

function tablesOf(pid: number): string {
  const tables = ["tcp", "tcp6"].map((name) => {
    try {
      return readFileSync(`/proc/${pid}/net/${name}`, "utf8");
    } catch {
      return "";
    }
  });
  return tables.join("");
}

/** The connections of the network namespace of a process. */
export function connectionsOf(pid: number): readonly OpenConnection[] {
  return readConnections(tablesOf(pid));
}

/** The numbers of a process's sockets; none for one that has ended. */
function socketsOf(pid: number): ReadonlySet<string> {
  try {
    const links = readdirSync(`/proc/${pid}/fd`).map((file) => readlinkOf(`/proc/${pid}/fd/${file}`));
    return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  } catch {
    return new Set();
  }
}

function readlinkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
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

/** What a proxy serves itself: its statistics, probes and administration. */
const isOwnService = (port: number): boolean => port >= 15_000 && port < 15_100;

/** Whether it comes from somebody whom a proxy serves. */
function isServed({ local, served }: OpenConnection): boolean {
  const port = portOf(local);
  if (port === outboundPort || port === inboundPort) return true;
  // Programs in the kernel leave inbound connections their addresses.
  return served && !isOwn(local) && !isOwnService(port);
}

/** How many connections of the application its proxy has, by that one's user. */
export function captured(all: readonly OpenConnection[], proxy: number): number {
  return all.filter((each) => each.uid === proxy && isServed(each)).length;
}

/** How many open connections of those whom a proxy serves one of its processes has. */
export function heldBy(pid: number): number {
  return readConnections(tablesOf(pid), socketsOf(pid)).filter((each) => each.open && isServed(each)).length;
}

/** Whether it is one of the application's own at its proxy, of which programs in the kernel may be asked as long as it is open. */
export function isLedOut({ local, remote }: OpenConnection): boolean {
  return [local, remote].some((end) => portOf(end) === outboundPort);
}

/** How many connections are at the proxy by rules of iptables. */
export function redirected(all: readonly OpenConnection[]): number {
  const ends = new Set([`127.0.0.1:${outboundPort}`]);
  return all.filter(({ local }) => ends.has(local) || portOf(local) === inboundPort).length;
}
