import { createHash } from "node:crypto";
import type { Kind } from "./kind.ts";

/**
 * Groups of the mesh that every member cluster serves as its own, by Kubernetes' aggregation layer: Istio's. Weft's own kinds are not
 * among them: they say what the mesh is made of, which is for the mesh's administrators and not for those of a member.
 */
export const memberGroups = [
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
] as const;

const groups: ReadonlySet<string> = new Set(memberGroups);

/** Whether member clusters serve a kind. */
export function isMemberKind({ group, home }: Pick<Kind, "group" | "home">): boolean {
  return home === "mesh" && groups.has(group);
}

/** Namespace of everything that a member cluster has of the mesh. */
export const memberNamespace = "istio-system";

/**
 * The ConfigMap of the mesh's own API in which its server says how API servers of members reach it: `ca.crt`, `port`, and `host`
 * where that is known.
 */
export const membersConfigMap = { namespace: memberNamespace, name: "weft-members-api" } as const;

/** The longest name of a Service: a label of DNS. */
const longest = 63;

/**
 * The Service by which a member's API server reaches the mesh's. It is named for the member: its name is the one that the API server
 * asks for in TLS, and so tells the mesh whose API server calls.
 */
export function memberServiceName(member: string): string {
  const name = `weft-api-${member}`;
  if (name.length <= longest) return name;
  const hash = createHash("sha256").update(member).digest("hex").slice(0, 10);
  return `${name.slice(0, longest - 11)}-${hash}`;
}

/** The name that the mesh's certificate must have for a member, as Kubernetes' aggregation layer asks for it. */
export function memberServerName(member: string): string {
  return `${memberServiceName(member)}.${memberNamespace}.svc`;
}
