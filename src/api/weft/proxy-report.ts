/** What agents tell the control plane of their proxies: JSON on a stream of gRPC, one stream for each proxy. */
import { WeftError } from "#base/errors.ts";

/** The method: the agent sends `ProxyWord`s, the control plane what it asks. */
export const reportMethod = "/weft.status.v1.ProxyReports/Report";

/** Bytes of one message. */
export const mostReportBytes = 256 * 1024;

/** Characters of a text in a report. */
const longestText = 500;

/** Where a proxy's process stands: `Waiting` is between an end and the next start. */
export const processPhases = ["Starting", "Running", "Waiting", "Ended"] as const;

/** Requests in one direction since the report before. */
export interface TrafficRate {
  readonly requestsPerSecond: number;
  /** Answers of the class 5xx. */
  readonly errorsPerSecond: number;
}

/** What a proxy counted of its callers' requests and of its configuration, by which its upgrade is judged. */
export interface InboundCounts {
  readonly all: number;
  /** Answered with 5xx, or reset. */
  readonly failed: number;
  /** Configurations that it refused. */
  readonly refused: number;
  /** How many took at most so many milliseconds; empty of an Envoy that keeps no times. */
  readonly within: Readonly<Record<string, number>>;
}

/** How a proxy stands, as its agent sees it. Times are milliseconds since the epoch. */
export interface ProxyReport {
  /** The agent's version. */
  readonly agent: string;
  /** Envoy's, once it has told. */
  readonly envoy?: string;
  readonly process: (typeof processPhases)[number];
  readonly startedAt?: number;
  /** Whether it has its configuration and its certificate. */
  readonly ready: boolean;
  /** Starts after the first. */
  readonly restarts: number;
  /** How the process before this one ended. */
  readonly lastExit?: { readonly reason: string; readonly at: number };
  /** Why it does not run. */
  readonly waiting?: string;
  /** Since when it tells its callers to go. */
  readonly drainingSince?: number;
  readonly certificate?: { readonly phase: string; readonly notAfter?: number; readonly problem?: string };
  readonly usage?: { readonly cpuMillis: number; readonly memoryBytes: number };
  readonly traffic?: { readonly connections: number; readonly inbound: TrafficRate; readonly outbound: TrafficRate };
  readonly inbound?: InboundCounts;
  /** What Envoy holds. */
  readonly holds?: { readonly clusters: number; readonly listeners: number };
  /** The endpoints that Envoy holds of clusters that get them by EDS: `wholeHash` of them, and how many, when it was asked last. */
  readonly endpoints?: { readonly hash: string; readonly clusters: number; readonly addresses: number };
  /** Why Envoy does not say how it stands, while its process runs. */
  readonly silent?: string;
}

/** Clusters of one message about endpoints, messages of one answer, and addresses of a cluster that are told. */
export const mostClusters = 800;
export const mostParts = 15;
export const mostAddresses = 200;

/** Characters of the end of a log that one answer holds: escaped, each may take six bytes. */
export const mostLogCharacters = 40_000;

/** What Envoy holds, in parts. */
export interface EndpointHashes {
  /** `setHash` of each cluster that has addresses. */
  readonly hashes: Readonly<Record<string, string>>;
  /** `more`: other parts follow; `end`: this is the last; `cut`: it is, and there were too many. */
  readonly part: "more" | "end" | "cut";
}

/** What a control plane asks an agent: hashes of all clusters, the addresses of some, or the end of its log. */
export type ReportQuestion =
  /** Says that a report has come. */
  | { readonly ask: "nothing" }
  | { readonly ask: "hashes" }
  | { readonly ask: "addresses"; readonly clusters: readonly string[] }
  | { readonly ask: "log"; readonly lines: number; readonly previous: boolean };

/** The proxy that a stream tells of. */
export interface ReportedNode {
  readonly id: string;
  readonly cluster: string;
  readonly namespace: string;
}

/** One message of an agent. */
export type ProxyWord =
  | { readonly kind: "hello"; readonly node: ReportedNode }
  | { readonly kind: "report"; readonly report: ProxyReport }
  | { readonly kind: "hashes"; readonly hashes: EndpointHashes }
  | { readonly kind: "addresses"; readonly addresses: Readonly<Record<string, readonly string[]>> }
  | { readonly kind: "log"; readonly text: string };

type Members = Readonly<Record<string, unknown>>;

function wrong(what: string): WeftError {
  return new WeftError("InvalidArgument", `the report of a proxy is not one: ${what}`);
}

function membersOf(value: unknown, name: string): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(`${name} is no object`);
  return value as Members;
}

function text(from: Members, name: string): string {
  const { [name]: value } = from;
  if (typeof value !== "string" || value.length > longestText)
    throw wrong(`${name} is no text of at most ${longestText} characters`);
  return value;
}

function number(from: Members, name: string): number {
  const { [name]: value } = from;
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw wrong(`${name} is no number from 0 on`);
  return value;
}

/** A member that may be absent. */
function maybe<T, N extends string>(
  from: Members,
  name: N,
  read: (from: Members, name: string) => T,
): { readonly [K in N]?: T } {
  return (from[name] === undefined ? {} : { [name]: read(from, name) }) as { readonly [K in N]?: T };
}

/** An object's reader. */
function inside<T>(read: (members: Members) => T): (from: Members, name: string) => T {
  return (from, name) => read(membersOf(from[name], name));
}

const inboundCounts = inside((of): InboundCounts => ({
  all: number(of, "all"),
  failed: number(of, "failed"),
  refused: number(of, "refused"),
  within: named(of["within"], "within", number),
}));

const rate = inside((of): TrafficRate => ({
  requestsPerSecond: number(of, "requestsPerSecond"),
  errorsPerSecond: number(of, "errorsPerSecond"),
}));

function reportOf(of: Members): ProxyReport {
  const process = processPhases.find((phase) => phase === of["process"]);
  if (!process) throw wrong(`process is none of ${processPhases.join(", ")}`);
  return {
    agent: text(of, "agent"),
    ...maybe(of, "envoy", text),
    process,
    ...maybe(of, "startedAt", number),
    ready: of["ready"] === true,
    restarts: number(of, "restarts"),
    ...maybe(
      of,
      "lastExit",
      inside((exit) => ({ reason: text(exit, "reason"), at: number(exit, "at") })),
    ),
    ...maybe(of, "waiting", text),
    ...maybe(of, "drainingSince", number),
    ...maybe(
      of,
      "certificate",
      inside((held) => ({
        phase: text(held, "phase"),
        ...maybe(held, "notAfter", number),
        ...maybe(held, "problem", text),
      })),
    ),
    ...maybe(
      of,
      "usage",
      inside((used) => ({ cpuMillis: number(used, "cpuMillis"), memoryBytes: number(used, "memoryBytes") })),
    ),
    ...maybe(
      of,
      "traffic",
      inside((all) => ({
        connections: number(all, "connections"),
        inbound: rate(all, "inbound"),
        outbound: rate(all, "outbound"),
      })),
    ),
    ...maybe(of, "inbound", inboundCounts),
    ...maybe(
      of,
      "holds",
      inside((held) => ({ clusters: number(held, "clusters"), listeners: number(held, "listeners") })),
    ),
    ...maybe(
      of,
      "endpoints",
      inside((held) => ({
        hash: text(held, "hash"),
        clusters: number(held, "clusters"),
        addresses: number(held, "addresses"),
      })),
    ),
    ...maybe(of, "silent", text),
  };
}

/** Members of an object that may have any names, up to a number. */
function named<T>(value: unknown, name: string, read: (from: Members, name: string) => T): Readonly<Record<string, T>> {
  const members = membersOf(value, name);
  const names = Object.keys(members);
  if (names.length > mostClusters) throw wrong(`${name} has over ${mostClusters} members`);
  return Object.fromEntries(names.map((each) => [each, read(members, each)]));
}

function texts(from: Members, name: string): readonly string[] {
  const { [name]: list } = from;
  if (!Array.isArray(list) || list.length > mostAddresses)
    throw wrong(`${name} is no list of at most ${mostAddresses}`);
  return list.map((_, at) => text(list as unknown as Members, String(at)));
}

function hashesOf(of: Members): EndpointHashes {
  const part = (["more", "end", "cut"] as const).find((each) => each === of["part"]);
  if (!part) throw wrong("part is none of more, end, cut");
  return { hashes: named(of["hashes"], "hashes", text), part };
}

/** Reads a question of a control plane; undefined for one that this version does not know. */
export function readQuestion(bytes: Buffer): ReportQuestion | undefined {
  const { ask, clusters, lines, previous } = JSON.parse(bytes.toString("utf8")) as Members;
  if (ask === "log" && typeof lines === "number") return { ask, lines, previous: previous === true };
  if (ask === "hashes" || ask === "nothing") return { ask };
  if (ask !== "addresses" || !Array.isArray(clusters)) return undefined;
  return { ask, clusters: clusters.filter((each) => typeof each === "string") };
}

/**
 * Reads a message of an agent, whom nobody has to believe.
 * @throws WeftError `InvalidArgument` for what is none.
 */
export function readProxyWord(bytes: Buffer): ProxyWord {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw wrong("it is no JSON");
  }
  const word = membersOf(value, "the message");
  if (word["kind"] === "hello") {
    const node = membersOf(word["node"], "node");
    return {
      kind: "hello",
      node: { id: text(node, "id"), cluster: text(node, "cluster"), namespace: text(node, "namespace") },
    };
  }
  if (word["kind"] === "report") return { kind: "report", report: reportOf(membersOf(word["report"], "report")) };
  if (word["kind"] === "hashes") return { kind: "hashes", hashes: hashesOf(membersOf(word["hashes"], "hashes")) };
  if (word["kind"] === "addresses")
    return { kind: "addresses", addresses: named(word["addresses"], "addresses", texts) };
  if (word["kind"] === "log" && typeof word["text"] === "string") return { kind: "log", text: word["text"] };
  throw wrong("its kind is none of hello, report, hashes, addresses, log");
}

/** A text as a report holds it. */
export function reportText(words: string): string {
  return words.length <= longestText ? words : `${words.slice(0, longestText - 1)}…`;
}
