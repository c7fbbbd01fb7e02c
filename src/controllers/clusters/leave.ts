import type { Installation } from "../aggregation/installation.ts";
import type { Reach } from "../reach/reach.ts";
import type { Membership } from "./membership.ts";
import type { Presence } from "./presence.ts";
import type { Step } from "./steps.ts";

/** A cluster that is to leave. */
export interface Leaving {
  readonly membership: Membership;
  /** Absent for a cluster that is gone for good, with all that the mesh had in it. */
  readonly presence?: Presence;
  /** What the cluster may have to serve the mesh's Istio objects; absent with `presence`. */
  readonly installation?: Installation;
  /** What it may have so that its Pods are injected; absent with `presence`. */
  readonly reach?: Reach;
  /** Whether proxies are waited for. A cluster that never joined has nothing to drain. */
  readonly drains: boolean;
  /** Milliseconds that proxies may take to hear that it is not called any more. */
  readonly limitMs: number;
  /** Told what the cluster's status says while it is waited for. */
  readonly told: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What a change of whom a cluster serves waits for. */
export interface Draining extends Pick<Leaving, "membership" | "limitMs" | "told" | "signal"> {
  /** What to do where it takes too long. */
  readonly fix: string;
}

/** Leads callers in other clusters elsewhere. */
export function drainStep({ membership, limitMs, fix, told, signal }: Draining): Step {
  return {
    title: "lead nobody to the cluster, and wait until all proxies know",
    run: async () => {
      await membership.drain(true);
      await membership.becomes({ type: "Drained", reason: "Drained", limitMs, fix }, told, signal);
    },
  };
}

/** Leads them to the cluster again. */
export function returnStep({ membership, limitMs, fix, told, signal }: Draining): Step {
  return {
    title: "lead callers to the cluster again",
    run: async () => {
      await membership.drain(false);
      await membership.becomes({ type: "Ready", limitMs, fix }, told, signal);
    },
  };
}

/**
 * The steps of leaving, none of which is undone: what was cut off is done by the same again. The `Cluster` object goes last and tells of
 * what is left to do.
 */
export function leaveSteps(leaving: Leaving): readonly Step[] {
  const { membership, presence, installation, reach, drains, limitMs, told, signal } = leaving;
  const fix =
    "weft proxy-status shows the proxies that do not know yet; the same command again goes on, and --force does not wait";
  const drain = [drainStep({ membership, limitMs, fix, told, signal })];
  const remove: readonly Step[] = presence
    ? [
        { title: "take the control plane's rights in the cluster away", run: () => presence.revoke() },
        { title: "remove what the mesh wrote into the cluster", run: () => presence.clean(signal) },
      ]
    : [];
  const injection: readonly Step[] = reach
    ? [{ title: "have none of its Pods injected any more", run: () => reach.remove() }]
    : [];
  const objects: readonly Step[] = installation
    ? [{ title: "stop serving the mesh's Istio objects in the cluster", run: () => installation.remove() }]
    : [];
  return [
    ...(drains ? drain : []),
    ...injection,
    ...objects,
    ...remove,
    { title: "remove its credentials and its Cluster from the mesh", run: () => membership.end() },
  ];
}
