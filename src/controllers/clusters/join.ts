import type { ServerAddress } from "#kube/connection.ts";
import type { Installation } from "../aggregation/installation.ts";
import type { MemberObject } from "../aggregation/objects.ts";
import type { Reach } from "../reach/reach.ts";
import type { Membership, Place } from "./membership.ts";
import type { Presence } from "./presence.ts";
import type { Step } from "./steps.ts";

/** A cluster that is to join. */
export interface Joining {
  readonly membership: Membership;
  readonly presence: Presence;
  readonly place: Place;
  /** How the control plane reaches its API; without credentials. */
  readonly address: Pick<ServerAddress, "url" | "ca" | "serverName">;
  /** What makes the cluster serve the mesh's Istio objects; absent where it is not to. */
  readonly istioObjects?: { readonly installation: Installation; readonly objects: readonly MemberObject[] };
  /** What makes the cluster's Pods injected, by which revisions; absent where they are not to be. */
  readonly injection?: {
    readonly reach: Reach;
    readonly objects: readonly MemberObject[];
    readonly revisions: readonly string[];
  };
  /** Milliseconds that the control plane may take to read it. */
  readonly limitMs: number;
  /** Told what the cluster's status says while it is waited for. */
  readonly told: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * The steps of a join. The `Cluster` object is made first and tells of a join that was cut off: the same again goes on with it, and
 * leaving takes it back.
 */
export function joinSteps(joining: Joining): readonly Step[] {
  const { membership, presence, place, address, limitMs, told, signal } = joining;
  // Taking back must go on when the operation was told to stop.
  const undone = new AbortController().signal;
  return [
    {
      title: "write down that it joins",
      run: () => membership.begin(place),
      undo: () => membership.end(),
    },
    {
      title: "make the control plane's account in the cluster",
      run: () => presence.make(),
      undo: async () => {
        await presence.revoke();
        await presence.clean(undone);
      },
    },
    {
      title: "give the control plane its credentials",
      run: async () => membership.admit(await presence.credentials(address, signal)),
    },
    {
      title: "wait until the control plane has read the cluster",
      run: () => membership.becomes({ type: "Ready", limitMs, fix: "mend that, and join again" }, told, signal),
    },
    ...istioSteps(joining),
    ...injectionSteps(joining),
    { title: "write down that it has joined", run: () => membership.finish() },
  ];
}

/**
 * The steps by which a member gets what a join makes now: the account's rights of this version, and the addresses that the mesh tells
 * now. None is undone: what was cut off is done by the same again.
 */
export function updateSteps(updating: Pick<Joining, "presence" | WhatJoins>): readonly Step[] {
  const made = [...istioSteps(updating), ...injectionSteps(updating)];
  return [
    { title: "make the control plane's account in the cluster what it is to be", run: () => updating.presence.make() },
    ...made.map(({ title, run }) => ({ title, run })),
  ];
}

type WhatJoins = "istioObjects" | "injection" | "limitMs" | "told" | "signal";

function istioSteps({ istioObjects, limitMs, told, signal }: Pick<Joining, WhatJoins>): readonly Step[] {
  if (!istioObjects) return [];
  const { installation, objects } = istioObjects;
  return [
    {
      title: "let its API server pass requests for Istio's objects on to the mesh's",
      run: () => installation.make(objects),
      undo: () => installation.remove(),
    },
    {
      title: "wait until its API server finds the mesh's",
      run: () => installation.becomesAvailable(limitMs, told, signal),
    },
  ];
}

function injectionSteps({ injection, limitMs, told, signal }: Pick<Joining, WhatJoins>): readonly Step[] {
  if (!injection) return [];
  const { reach, objects, revisions } = injection;
  return [
    {
      title: "lead its Pods and its webhooks to the control plane",
      run: () => reach.make(objects),
      undo: () => reach.remove(),
    },
    {
      title: "wait until its API server has Pods injected",
      run: () => reach.becomesAsked(revisions, { limitMs, told, signal }),
    },
  ];
}
