/** The ConfigMap of a cluster in which the control planes of a revision that was installed there tell how it stands. */
export function reportName(revision: string): string {
  return `weft-revision-${revision}`;
}

/** The label by which these ConfigMaps are found. */
export const reportLabel = { name: "mesh.weft.dev/revision-report", value: "true" } as const;

/** How one control plane of a revision stands, for who upgrades. */
export interface RevisionReport {
  /** When it was told, RFC 3339. */
  readonly at: string;
  /** The version of Weft that it runs. */
  readonly version: string;
  /** Proxies that it serves, and those that have acknowledged the newest of everything. */
  readonly connected: number;
  readonly inSync: number;
  /** Some of its proxies, as people name them, and some of those that are not in sync. */
  readonly proxies: readonly string[];
  readonly behind: readonly string[];
  /** What is found against objects of the mesh, `CODE KIND NAMESPACE/NAME`, up to a number; and how many there are. */
  readonly findings: readonly string[];
  readonly findingCount: number;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) ? Number(value) : 0;
}

/** Reads a report; undefined for what is none. */
export function readReport(text: string): RevisionReport | undefined {
  try {
    const { at, version, ...told } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof at !== "string" || typeof version !== "string" || Number.isNaN(Date.parse(at))) return undefined;
    return {
      at,
      version,
      connected: count(told["connected"]),
      inSync: count(told["inSync"]),
      proxies: texts(told["proxies"]),
      behind: texts(told["behind"]),
      findings: texts(told["findings"]),
      findingCount: count(told["findingCount"]),
    };
  } catch {
    return undefined;
  }
}

/**
 * What speaks against moving proxies from one set of control planes to another.
 * @param from what serves now, and what it says.
 * @param to what is to serve.
 */
export function objectionsBetween(from: readonly RevisionReport[], to: readonly RevisionReport[]): readonly string[] {
  if (to.length === 0) return ["no control plane of it tells how it stands"];
  const behind = [...from, ...to].flatMap((report) => report.behind);
  const unsynced = [...new Set(behind)].map((proxy) => `${proxy} has not taken what it was sent`);
  return [...unsynced, ...newFindings(from, to), ...olderVersion(from, to)];
}

function newFindings(from: readonly RevisionReport[], to: readonly RevisionReport[]): readonly string[] {
  if (from.length === 0) return [];
  const known = new Set(from.flatMap(({ findings }) => findings));
  const counts = (reports: readonly RevisionReport[]): number =>
    Math.max(...reports.map(({ findingCount }) => findingCount));
  const isWhole = from.every(({ findings, findingCount }) => findings.length === findingCount);
  if (!isWhole) {
    const more = counts(to) - counts(from);
    return more > 0 ? [`it would find ${more} more things wrong with the mesh's objects`] : [];
  }
  const found = [...new Set(to.flatMap(({ findings }) => findings))].filter((each) => !known.has(each));
  return found.map((each) => `it would find anew: ${each}`);
}

function numbersOf(version: string): readonly number[] {
  return (/^\d+(?:\.\d+)*/.exec(version)?.[0] ?? "").split(".").map(Number);
}

function isOlder(one: string, other: string): boolean {
  const [own, others] = [numbersOf(one), numbersOf(other)];
  for (let at = 0; at < Math.max(own.length, others.length); at += 1) {
    const difference = (own[at] ?? 0) - (others[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function olderVersion(from: readonly RevisionReport[], to: readonly RevisionReport[]): readonly string[] {
  const [now, then] = [from[0]?.version, to[0]?.version];
  const versions = new Set(to.map(({ version }) => version));
  if (versions.size > 1) return [`its control planes run different versions: ${[...versions].join(", ")}`];
  if (now === undefined || then === undefined || !isOlder(then, now)) return [];
  return [`its version ${then} is older than ${now}, which serves now`];
}
