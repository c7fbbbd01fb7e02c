import type { Finding } from "#api/finding.ts";
import type { GatewayCredential } from "#api/istio/gateway-credential.ts";
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
}

/** The members of an object's status that are written here. */
export interface ObjectStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  /** As Istio's analysis writes them: `level`, and `type` with a stable name and code. */
  readonly validationMessages: readonly object[];
  /** Of a Gateway: what its servers name, and when that ends; absent where nothing is known. */
  readonly credentials?: readonly GatewayCredential[];
}

/** Condition types that are written here; others on an object belong to others. The names are Gateway API's. */
export const ownTypes = ["Accepted", "Programmed"] as const;

/** Longest message of a condition; Kubernetes' own limit is 32 KiB. */
const longest = 4096;

function line({ field, message }: Finding): string {
  return field === undefined ? message : `${field}: ${message}`;
}

function clipped(text: string): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

function accepted(findings: readonly Finding[], now: string): Condition {
  const [worst] = findings.toSorted((a, b) => Number(b.severity === "error") - Number(a.severity === "error"));
  return {
    type: "Accepted",
    status: worst?.severity === "error" ? "False" : "True",
    reason: worst?.code ?? "Accepted",
    message: clipped(findings.map(line).join("; ")),
    lastTransitionTime: now,
  };
}

function refused(refusals: readonly Refusal[], now: string): Condition {
  const text = refusals.map(({ proxies, message }) => `refused by ${proxies.join(", ")}: ${message}`);
  return {
    type: "Programmed",
    status: "False",
    reason: "Refused",
    message: clipped(text.join("; ")),
    lastTransitionTime: now,
  };
}

/** How many of the proxies hold what an object says now. */
export interface Holders {
  readonly connected: number;
  readonly holding: number;
}

function held({ connected, holding }: Holders, now: string): Condition {
  const all = connected > 0 && holding === connected;
  const words = `${holding} of ${connected} proxies hold this generation`;
  return {
    type: "Programmed",
    status: all ? "True" : "False",
    reason: all ? "Programmed" : connected === 0 ? "NoProxies" : "Pending",
    message: connected === 0 ? "no proxy is connected" : words,
    lastTransitionTime: now,
  };
}

/** What is known of an object. */
export interface Known {
  readonly findings: readonly Finding[];
  readonly refusals: readonly Refusal[];
  /** The condition `Programmed` that stands and still holds, or who holds the object now; absent where nobody can. */
  readonly programmed?: Condition | Holders;
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
  const { findings, refusals, programmed, credentials = [] } = known;
  const holding = programmed && ("type" in programmed ? programmed : held(programmed, now));
  return {
    observedGeneration: generation,
    conditions: [
      accepted(findings, now),
      ...(refusals.length > 0 ? [refused(refusals, now)] : holding ? [holding] : []),
    ],
    validationMessages: findings.map(validationMessage),
    ...(credentials.length > 0 && { credentials }),
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
