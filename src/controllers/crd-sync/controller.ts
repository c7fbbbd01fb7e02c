import { kinds } from "#api/kinds.ts";
import { isMemberKind } from "#api/member-api.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { apiLease, leadElected, type ProcessSigns } from "#kube/leader-election.ts";
import { definitionName } from "./definition.ts";
import { MemberSync } from "./member-sync.ts";
import { SideObjects } from "./objects.ts";
import { SyncState } from "./state.ts";

/** What keeping objects of members and the mesh the same needs. */
export interface CrdSyncOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** Where the Lease and what must be remembered are kept in the mesh: Istio's root namespace. */
  readonly namespace: string;
  /** Unlike that of any other control plane of the mesh. */
  readonly identity: string;
  /** By what others see that its process has ended. */
  readonly process: ProcessSigns;
  /** A member's API, as the control plane's account there; undefined while it was not reached. */
  readonly member: (name: string) => Client | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks for members whose API can be asked now, or by another client than before. */
const lookMs = 1_000;

interface Running {
  readonly client: Client;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Keeps the objects of members that say `istioObjects: Synced` the same as the mesh's, in one control plane of several, until the signal aborts. */
export async function runCrdSync(options: CrdSyncOptions, signal: AbortSignal): Promise<void> {
  const { client, namespace, identity, process, clock, logger } = options;
  const informer = new Informer<Cluster>({ client: client.of<Cluster>(clusterKind), clock, logger, trim: trimmed });
  const following = informer.run(signal);
  const lock = apiLease(client, { namespace, name: "weft-crd-sync" });
  // Nobody needs to lead where no member asks for it.
  await waitForMember(informer, clock, signal);
  await leadElected({ lock, identity, process, clock, logger }, async (turn) => lead(options, informer, turn), signal);
  await following;
}

function trimmed({ apiVersion, kind, metadata, spec }: Cluster): Cluster {
  return { apiVersion, kind, metadata, spec };
}

/** Names of the members that are to be kept the same. */
function wanted(informer: Informer<Cluster>): readonly string[] {
  return informer.list().flatMap(({ metadata, spec }) => (spec.istioObjects === "Synced" ? [metadata.name] : []));
}

async function waitForMember(informer: Informer<Cluster>, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && wanted(informer).length === 0) await clock.sleep(lookMs, signal).catch(() => undefined);
}

/** @returns false where that has to be tried again. */
async function forgotten({ client, namespace, logger }: CrdSyncOptions, names: ReadonlySet<string>): Promise<boolean> {
  try {
    await SyncState.forgetOthers({ client, namespace }, names);
    return true;
  } catch (error) {
    logger.warn("what was agreed on with members that left is not forgotten yet", { error: messageOf(error) });
    return false;
  }
}

async function lead(options: CrdSyncOptions, informer: Informer<Cluster>, signal: AbortSignal): Promise<void> {
  const { client, namespace, clock, logger } = options;
  const memberKinds = kinds.filter(isMemberKind);
  const objects = new Map(
    memberKinds.map((kind) => [definitionName(kind), new SideObjects({ client, kind, clock, logger })]),
  );
  const following = [...objects.values()].map(async (each) => each.run(signal));
  const running = new Map<string, Running>();
  const end = async (name: string): Promise<void> => {
    const member = running.get(name);
    running.delete(name);
    member?.stop.abort();
    await member?.done;
  };
  let before: string | undefined;
  while (!signal.aborted) {
    const names = new Set(wanted(informer));
    for (const name of running.keys())
      if (!names.has(name) || options.member(name) !== running.get(name)?.client) await end(name);
    const now = [...names].toSorted().join(" ");
    if (now !== before) before = (await forgotten(options, names)) ? now : undefined;
    for (const name of names) {
      const api = options.member(name);
      if (api === undefined || running.has(name)) continue;
      const stop = new AbortController();
      const until = AbortSignal.any([signal, stop.signal]);
      const own = logger.with({ cluster: name });
      const sync = { member: name, mesh: client, namespace, objects, client: api, clock, logger: own };
      const done = MemberSync.run(sync, until).catch((error: unknown) => {
        own.warn("the objects of a member are not kept the same; trying again", { error: messageOf(error) });
        running.delete(name);
      });
      running.set(name, { client: api, stop, done });
    }
    await clock.sleep(lookMs, signal).catch(() => undefined);
  }
  await Promise.all([...following, ...[...running.values()].map(async ({ done }) => done)]);
}
