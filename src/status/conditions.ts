import type { Finding } from "#api/finding.ts";
import type { GatewayCredential } from "#api/istio/gateway-credential.ts";
import type { ClusterHolding } from "#api/istio/holding.ts";
import { documentationUrl, messageType } from "#api/message-types.ts";

/** A refusal of a resource by proxies, put down to the object that the resource came from. */
export interface Refusal {
  /** Proxies that refuse, such as `page-7d4b9.shop (east)`. */
  readonly proxies: readonly string[];
  /** Envoy's own words. */
  readonly message: string;
}

/** A condition of an object's status, as Istio and Kubernetes write it. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly lastTransitionTime: string;
  /** The generation of the object that it speaks of, which may be older than the one that the status does. */
  readonly observedGeneration?: number;
}

/** The members of an object's status that are written here. */
export interface ObjectStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  /** As Istio's analysis writes them: `level`, and `type` with a stable name and code. */
  readonly validationMessages: readonly object[];
  /** Of a Gateway: what its servers name, and when that ends; absent where nothing is known. */
  readonly credentials?: readonly GatewayCredential[];
  /** Of what the status speaks: the hash of the object's `spec`. */
  readonly contentHash?: string;
  /** How many proxies of each cluster hold it. */
  readonly held?: readonly ClusterHolding[];
}

/** Condition types that are written here; others on an object belong to others. The names are Gateway API's. */
export const ownTypes = ["Accepted", "Programmed"] as const;

/** Longest message of a condition; Kubernetes' own limit is 32 KiB. */
const longest = 4096;

/** When a status is written, and of which generation. */
interface Moment {
  readonly now: string;
  readonly generation: number;
}

function line({ field, message }: Finding): string {
  return field === undefined ? message : `${field}: ${message}`;
}

function clipped(text: string): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

function accepted(findings: readonly Finding[], { now, generation }: Moment): Condition {
  const [worst] = findings.toSorted((a, b) => Number(b.severity === "error") - Number(a.severity === "error"));
  return {
    type: "Accepted",
    status: worst?.severity === "error" ? "False" : "True",
    reason: worst?.code ?? "Accepted",
    message: clipped(findings.map(line).join("; ")),
    lastTransitionTime: now,
    observedGeneration: generation,
  };
}

function refused(refusals: readonly Refusal[], { now, generation }: Moment): Condition {
  const text = refusals.map(({ proxies, message }) => `refused by ${proxies.join(", ")}: ${message}`);
  return {
    type: "Programmed",
    status: "False",
    reason: "Refused",
    message: clipped(text.join("; ")),
    lastTransitionTime: now,
    observedGeneration: generation,
  };
}

/** How many of the proxies hold what an object says now. */
export interface Holders {
  readonly connected: number;
  readonly holding: number;
  /** The same for each cluster, by name. */
  readonly clusters: readonly ClusterHolding[];
}

function held({ connected, holding }: Holders, { now, generation }: Moment): Condition {
  const all = connected > 0 && holding === connected;
  const words = `${holding} of ${connected} proxies hold this generation`;
  return {
    type: "Programmed",
    status: all ? "True" : "False",
    reason: all ? "Programmed" : connected === 0 ? "NoProxies" : "Pending",
    message: connected === 0 ? "no proxy is connected" : words,
    lastTransitionTime: now,
    observedGeneration: generation,
  };
}

/** What is known of an object. */
export interface Known {
  readonly findings: readonly Finding[];
  readonly refusals: readonly Refusal[];
  /** The condition `Programmed` that stands and still holds, or who holds the object now; absent where nobody can. */
  readonly programmed?: Condition | Holders;
  /** How many proxies of each cluster hold it; absent where that is not counted. */
  readonly held?: readonly ClusterHolding[];
  /** Tells its content from any other; absent where nothing is made of it. */
  readonly contentHash?: string;
  readonly credentials?: readonly GatewayCredential[];
}

/** A finding as `weft analyze` would tell it: Istio's code and level where Istio has such a message. */
function validationMessage(finding: Finding): object {
  const type = messageType(finding);
  const { name, code, level } = type;
  return { type: { name, code }, level: level.toUpperCase(), documentationUrl: documentationUrl(type) };
}

/** An object's status from all that is known of it. */
export function statusOf(known: Known, generation: number, now: string): ObjectStatus {
  const { findings, refusals, programmed, credentials = [], contentHash, held: clusters } = known;
  const moment = { now, generation };
  const holding = programmed && ("type" in programmed ? programmed : held(programmed, moment));
  return {
    observedGeneration: generation,
    conditions: [
      accepted(findings, moment),
      ...(refusals.length > 0 ? [refused(refusals, moment)] : holding ? [holding] : []),
    ],
    validationMessages: findings.map(validationMessage),
    ...(credentials.length > 0 && { credentials }),
    ...(contentHash !== undefined && { contentHash }),
    ...(clusters !== undefined && { held: clusters }),
  };
}

/** Whether two statuses say the same, times apart. */
export function saysTheSame(a: ObjectStatus | undefined, b: ObjectStatus | undefined): boolean {
  const text = (status: ObjectStatus | undefined): string =>
    JSON.stringify(
      status && { ...status, conditions: status.conditions.map(({ lastTransitionTime: _time, ...rest }) => rest) },
    );
  return text(a) === text(b);
}
