import type { HeldTrust } from "#identity/rotation.ts";
import type { PodPlaces } from "./pod-places.ts";

/** A proxy that gets certificates of the mesh. */
export interface CertifiedProxy {
  /** `CLUSTER/NAMESPACE/POD`. */
  readonly name: string;
  /** What its agent saw it acknowledge; undefined where nobody says. */
  readonly held: HeldTrust | undefined;
  /** Why nothing is known; empty where something is. */
  readonly unknown: string;
  /** When its Pod was made, in milliseconds since the epoch. */
  readonly created: number;
}

const strange =
  "is not run by a Weft agent, so that nobody can tell what it holds: let it be skipped when its certificate has surely been renewed";
const pending = "has not acknowledged what it was sent";
const waiting = "has no certificate yet";

/** All proxies of the mesh that get certificates: their Pods as the clusters' APIs have them, whether they are connected or not. */
export function* certifiedProxies(pods: PodPlaces): Generator<CertifiedProxy> {
  for (const [name, { certificate, trust, meshTls, created }] of pods.all()) {
    if (certificate === undefined) {
      if (meshTls) yield { name, held: undefined, unknown: strange, created };
      continue;
    }
    const held = trust === "pending" ? undefined : trust;
    const unknown = held ? "" : trust === undefined && certificate.state === "Waiting" ? waiting : pending;
    yield { name, held, unknown, created };
  }
}

function fits(part: string, pattern: string): boolean {
  return pattern === "*" || pattern === part;
}

/** Whether a proxy is among those that are not waited for: `CLUSTER/NAMESPACE/POD`, each part a name or `*`. */
export function isSkipped(name: string, skip: readonly string[]): boolean {
  const parts = name.split("/");
  return skip.some((each) => each.split("/").every((pattern, at) => fits(parts[at] ?? "", pattern)));
}
