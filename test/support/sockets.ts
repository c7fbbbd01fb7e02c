import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { inside, namespacePath, namespacesOf } from "#runtime/namespace.ts";

/** A process that holds a socket by which others can come in. */
export interface Listening {
  readonly pid: number;
  /** Its arguments, with blanks between them. */
  readonly command: string;
  /** `tcp ADDRESS:PORT`, `udp ADDRESS:PORT` or `unix PATH`; names of the abstract kind begin with @. */
  readonly socket: string;
}

const tables = ["tcp", "tcp6", "udp", "udp6", "unix"] as const;

/** States of a TCP socket that listens, and of a UDP socket that has no other end (`include/net/tcp_states.h`). */
const states = { tcp: "0A", udp: "07" } as const;

/** A Unix socket that accepts connections (`__SO_ACCEPTCON`), and the kind that takes messages from anybody. */
const accepts = 0x10000;
const datagram = "0002";

/** Ports above are given to those who did not ask for one. */
const firstEphemeral = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);

/** An address as the kernel shows it: words of four bytes in the machine's order, which is little-endian. */
function addressOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) =>
    (word.match(/../g) ?? []).toReversed().map((byte) => Number.parseInt(byte, 16)),
  );
  return bytes.length === 4 ? bytes.join(".") : `[${bytes.map((byte) => byte.toString(16)).join(":")}]`;
}

function ofInternet(protocol: "tcp" | "udp", fields: readonly string[]): readonly [string, string] | undefined {
  const [, local = "", , state, , , , , , inode = ""] = fields;
  const [address = "", port = ""] = local.split(":");
  const number = Number.parseInt(port, 16);
  if (state !== states[protocol] || (protocol === "udp" && number >= firstEphemeral)) return undefined;
  return [inode, `${protocol} ${addressOf(address)}:${number}`];
}

function ofUnix(fields: readonly string[]): readonly [string, string] | undefined {
  const [, , , flags = "", type, , inode = "", path] = fields;
  if (path === undefined || ((Number.parseInt(flags, 16) & accepts) === 0 && type !== datagram)) return undefined;
  return [inode, `unix ${path}`];
}

/** Prints all tables of the namespace that it runs in, each with a line behind it; a machine may have no IPv6. */
const printed = ["sh", "-c", tables.map((table) => `cat /proc/net/${table} 2>/dev/null; echo ---`).join("; ")] as const;

/** Sockets of a network namespace by their numbers; of the test's own where none is named. */
function* socketsOf(namespace?: string): Generator<readonly [string, string]> {
  const [program, ...args] = namespace === undefined ? printed : inside(namespacePath(namespace), printed);
  const texts = execFileSync(program, args, { encoding: "utf8" }).split("---\n");
  for (const [at, table] of tables.entries()) {
    const lines = texts[at]!.trim().split("\n").slice(1);
    for (const line of lines) {
      const fields = line.trim().split(/\s+/);
      const found = table === "unix" ? ofUnix(fields) : ofInternet(table.startsWith("tcp") ? "tcp" : "udp", fields);
      if (found) yield found;
    }
  }
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly network: string;
}

function processOf(pid: number): Process | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      pid,
      parent: Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]),
      command: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim(),
      network: readlinkSync(`/proc/${pid}/ns/net`),
    };
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

function numbersHeld(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

/**
 * Everything that processes of an instance listen on, by the files that they hold open: processes below its supervisor, those in its
 * network namespaces, and those whose arguments name it.
 */
export function listeningOf(instance: string, supervisor: number): readonly Listening[] {
  const names = namespacesOf(`weft-${instance}-`);
  const networks = new Set(names.map((name) => `net:[${statSync(namespacePath(name)).ino}]`));
  const sockets = new Map([undefined, ...names].flatMap((name) => [...socketsOf(name)]));
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  const processes = new Map(pids.flatMap((pid) => processOf(Number(pid)) ?? []).map((one) => [one.pid, one]));
  const own = ({ pid, parent, command, network }: Process): boolean => {
    const named = command.includes(`/weft/${instance}/`) || command.includes(`--instance ${instance} `);
    if (pid === supervisor || named || networks.has(network)) return true;
    const above = processes.get(parent);
    return above !== undefined && own(above);
  };
  return [...processes.values()].filter(own).flatMap(({ pid, command }) =>
    numbersHeld(pid).flatMap((number) => {
      const socket = sockets.get(number);
      return socket === undefined ? [] : [{ pid, command, socket }];
    }),
  );
}
