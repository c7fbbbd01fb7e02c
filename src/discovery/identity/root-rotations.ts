import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import { type RootRotation, rootRotation } from "#api/weft/root-rotation.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import { type AuthorityFiles, makeAuthority } from "#identity/authority.ts";
import { advance, planRotation, type RotationPlace, type RotationStage, stageOf } from "#identity/rotation.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import type { Readiness } from "#status/ready.ts";
import { filesOf, withAuthority } from "./authority-files.ts";
import type { AuthoritySecret } from "./authority-secret.ts";
import { KeptAuthorities } from "./kept-authorities.ts";
import type { PodPlaces } from "./pod-places.ts";
import { certifiedProxies } from "./proven.ts";
import {
  finished,
  isOver,
  type RotationReport,
  rotationStatus,
  staying,
  type Tally,
  tallyOf,
} from "./rotation-status.ts";

/** What rotations need. */
export interface RootRotationsOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** The root namespace, where the authority's Secret is. */
  readonly namespace: string;
  readonly authority: Pick<AuthoritySecret, "standing">;
  readonly pods: PodPlaces;
  /** Clusters whose Pods have not been read yet. */
  readonly unread: () => readonly string[];
  readonly trustDomain: () => string;
  /**
   * Milliseconds for which everybody must have proven what a step needs: as long as a certificate may be on its way from a replica
   * that has not heard of the stage yet. 15 seconds unless told.
   */
  readonly settleMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const defaultSettleMs = 15_000;
/** Milliseconds between looks at the proxies while a rotation goes on. */
const lookMs = 1000;
/** The finalizer that stands for what a rotation keeps. */
const finalizer = "mesh.weft.dev/root-rotation";
const accepted: Readiness = { ready: true, reason: "Accepted", message: "" };
/** Faults of what a user wrote, not of the moment. */
const mistakes: ReadonlySet<string> = new Set(["InvalidArgument", "FailedPrecondition", "NotFound"]);

function secretName({ metadata: { namespace = "", name } }: Secret): string {
  return `${namespace}/${name}`;
}

/**
 * Carries out rotations of the mesh's authority, one after the other. Each step is one write of the authority's Secret over the version
 * that was looked at, so of several replicas one acts; and the Secret itself says which stage it is in, so that any replica goes on
 * from there.
 */
export class RootRotations {
  readonly #options: RootRotationsOptions;
  readonly #informer: Informer<RootRotation>;
  readonly #rotations: KindClient<RootRotation>;
  readonly #kept: KeptAuthorities;
  readonly #queue: WorkQueue;
  /** What everybody has proven, and since when. */
  #proven: { readonly what: string; readonly since: number } | undefined;

  constructor(options: RootRotationsOptions) {
    const { client, namespace, clock, logger } = options;
    this.#options = options;
    this.#rotations = client.of<RootRotation>(rootRotation);
    this.#kept = new KeptAuthorities(client, namespace);
    this.#informer = new Informer<RootRotation>({ client: this.#rotations, clock, logger });
    this.#queue = new WorkQueue({
      clock,
      work: async () => this.#turn(),
      failed: (_key, error) => {
        // Another replica was faster.
        const level = codeOf(error) === "Conflict" ? "debug" : "warn";
        logger[level]("a rotation of the mesh's root does not go on", { error: messageOf(error) });
      },
      backoff: { initialMs: 100, maxMs: 5000 },
    });
  }

  /** Carries them out until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  /** Follows what there is to carry out until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    this.#informer.onChange(() => this.#queue.add(""));
    await this.#informer.run(signal);
  }

  async #turn(): Promise<number | undefined> {
    const all = this.#informer.list().toSorted(byAge);
    for (const each of all.filter(isOver)) await this.#leave(each);
    const [first, ...others] = all.filter((each) => !isOver(each));
    if (!first) return undefined;
    for (const each of others) {
      const message = `the rotation ${first.metadata.name} comes first`;
      await this.#refuse(each, { ready: false, reason: "AnotherRotation", message });
    }
    const begun = first.status?.phase === "Rotating" || first.status?.phase === "Aborting";
    await (begun ? this.#goOn(first) : this.#begin(first));
    return lookMs;
  }

  /** Takes a rotation on: both authorities are kept before anything is changed. */
  async #begin(rotation: RootRotation): Promise<void> {
    const { authority, clock, logger } = this.#options;
    if (wantsBack(rotation)) {
      const progressing = { ready: false, reason: "Aborted", message: "it was aborted before it began" };
      return this.#tell(rotation, { phase: "Aborted", accepted, progressing });
    }
    const { secret, current, problem } = authority.standing;
    if (!secret || !current) {
      const message = `the mesh's authority must be in order first: ${problem || "it is being read"}`;
      return this.#refuse(rotation, { ready: false, reason: "AuthorityUnusable", message });
    }
    try {
      const old = filesOf(secret);
      const next = await this.#nextAuthority(rotation);
      checkWriter(secret);
      planRotation(old, next, clock.now());
      const marked = await this.#mark(rotation, true);
      const both = await this.#kept.keep(marked, { old, next });
      const plan = planRotation(both.old, both.next, clock.now());
      const version = secret.metadata.resourceVersion;
      const place: RotationPlace = { plan, stage: "Unchanged", goal: "new", version };
      const progressing = { ready: true, reason: "Begun", message: "both authorities are kept" };
      logger.info("a rotation of the mesh's root begins", { rotation: rotation.metadata.name });
      return await this.#tell(marked, { phase: "Rotating", secret: secretName(secret), place, accepted, progressing });
    } catch (error) {
      if (!(error instanceof WeftError) || !mistakes.has(error.code)) throw error;
      return this.#refuse(rotation, { ready: false, reason: "InvalidAuthority", message: error.message });
    }
  }

  /** Takes the step that is due, if any. */
  async #goOn(rotation: RootRotation): Promise<void> {
    const { authority, pods, unread, settleMs = defaultSettleMs, clock } = this.#options;
    const both = await this.#kept.find(rotation);
    const { secret, current, problem } = authority.standing;
    const { status: { startedAt = "", stage: last = "Unchanged", secret: name } = {}, spec } = rotation;
    if (!both) return this.#conflict(rotation, `the Secret ${this.#keptName(rotation)} is gone`);
    if (!secret || problem !== "") return this.#conflict(rotation, problem || "the authority's Secret is gone");
    if (!current) return;
    if (secretName(secret) !== name) return this.#conflict(rotation, `${secretName(secret)} is the authority now`);
    const plan = planRotation(both.old, both.next, Date.parse(startedAt));
    const stage = stageOf(filesOf(secret), plan, last);
    if (!stage) return this.#conflict(rotation, `somebody else has changed the Secret ${name}`);
    const { resourceVersion: version } = secret.metadata;
    const place: RotationPlace = { plan, stage, goal: wantsBack(rotation) ? "old" : "new", version };
    const heard = Date.parse(rotation.status?.stageSince ?? "") + settleMs;
    const proxies = certifiedProxies(pods);
    const tally = tallyOf({ proxies, unread: unread(), skip: spec.skip ?? [], heard }, place);
    const proven = this.#isProven([rotation.metadata.uid, stage, place.goal, version], tally);
    const step = advance({ plan, stage, goal: place.goal, proven, holdAt: spec.holdAt });
    const phase = place.goal === "new" ? "Rotating" : "Aborting";
    if (step === "done") return this.#tell(rotation, { ...finished(place), place, tally, accepted });
    const moving = { ready: true, reason: "Moving", message: step === "stay" ? "" : `to ${step}` };
    const progressing = step === "stay" ? staying(rotation, tally, !proven, clock.now()) : moving;
    if (step !== "stay") await this.#write(secret, place, step);
    const now = step === "stay" ? { place, tally } : { place: { ...place, stage: step } };
    return this.#tell(rotation, { phase, ...now, accepted, progressing });
  }

  /** Writes the authority of another stage, over the version that was looked at. */
  async #write(secret: Secret, { plan, stage, goal }: RotationPlace, to: RotationStage): Promise<void> {
    const { client, logger } = this.#options;
    const data = withAuthority(secret, plan[to].files);
    await client.of<Secret>(secretKind).replace({ ...secret, data });
    logger.info("the rotation of the mesh's root has gone on", { from: stage, to, goal });
  }

  /** Whether nobody has objected for long enough. */
  #isProven(what: readonly string[], { missing }: Tally): boolean {
    const { clock, settleMs = defaultSettleMs } = this.#options;
    const key = what.join("/");
    if (missing.length > 0) this.#proven = undefined;
    else if (this.#proven?.what !== key) this.#proven = { what: key, since: clock.monotonic() };
    return this.#proven !== undefined && clock.monotonic() - this.#proven.since >= settleMs;
  }

  /** The authority is none of the rotation's: nothing is changed until it is again, or somebody deletes the rotation. */
  async #conflict(rotation: RootRotation, what: string): Promise<void> {
    this.#proven = undefined;
    if (rotation.metadata.deletionTimestamp !== undefined) {
      const message = `it was deleted and leaves the authority as it is: ${what}`;
      return this.#tell(rotation, {
        phase: "Aborted",
        accepted,
        progressing: { ready: false, reason: letGo, message },
      });
    }
    const fix = `write back what ${this.#keptName(rotation)} has, or delete the rotation: it then leaves the authority as it is`;
    const progressing = { ready: false, reason: "Conflict", message: `${what}; ${fix}` };
    return this.#tell(rotation, { phase: rotation.status?.phase ?? "Pending", accepted, progressing });
  }

  async #refuse(rotation: RootRotation, why: Readiness): Promise<void> {
    return this.#tell(rotation, { phase: "Pending", accepted: why, progressing: why });
  }

  /** Lets go of a rotation that is over. What it keeps goes, unless somebody may still want it to mend the authority. */
  async #leave(rotation: RootRotation): Promise<void> {
    if (!rotation.metadata.finalizers?.includes(finalizer)) return;
    const reason = rotation.status?.conditions?.find(({ type }) => type === "Progressing")?.reason;
    if (reason !== letGo) await this.#kept.forget(rotation);
    await this.#mark(rotation, false);
  }

  /** Sets or takes away the finalizer. */
  async #mark(rotation: RootRotation, on: boolean): Promise<RootRotation> {
    const { finalizers: before = [], name, resourceVersion } = rotation.metadata;
    if (before.includes(finalizer) === on) return rotation;
    const finalizers = on ? [...before, finalizer] : before.filter((each) => each !== finalizer);
    return this.#rotations.patch({ name }, { kind: "merge", body: { metadata: { resourceVersion, finalizers } } });
  }

  async #tell(rotation: RootRotation, report: RotationReport): Promise<void> {
    const status = rotationStatus(rotation, report, this.#options.clock.now());
    if (equal(status, rotation.status)) return;
    await this.#rotations.replaceStatus({ ...rotation, status });
  }

  #keptName(rotation: RootRotation): string {
    const { namespace, name } = this.#kept.place(rotation);
    return `${namespace}/${name}`;
  }

  /** @throws WeftError `NotFound` for a Secret that is not there. */
  async #nextAuthority({ spec }: RootRotation): Promise<AuthorityFiles> {
    const { client, namespace, trustDomain, clock } = this.#options;
    if (spec.secretName === undefined) {
      return makeAuthority(spec.selfSigned?.keyType ?? "P-256", trustDomain(), clock.now());
    }
    const found = await client.of<Secret>(secretKind).find({ namespace, name: spec.secretName });
    if (found) return filesOf(found);
    const fix = "create it with ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem, or delete the rotation";
    throw new WeftError("NotFound", `there is no Secret ${namespace}/${spec.secretName}: ${fix}`);
  }
}

/** The reason of a rotation that was deleted while the authority was none of its own. */
const letGo = "LetGo";

function wantsBack({ spec, metadata }: RootRotation): boolean {
  return spec.abort === true || metadata.deletionTimestamp !== undefined;
}

function byAge({ metadata: one }: RootRotation, { metadata: other }: RootRotation): number {
  const [a, b] = [one, other].map(({ creationTimestamp, name }) => `${creationTimestamp} ${name}`) as [string, string];
  return a < b ? -1 : 1;
}

/** @throws WeftError `FailedPrecondition` for a Secret that another program writes. */
function checkWriter({ metadata, immutable }: Secret): void {
  if (metadata.annotations?.["cert-manager.io/certificate-name"] !== undefined) {
    const what = "the authority's Secret is written by cert-manager, which would undo each step";
    throw new WeftError("FailedPrecondition", `${what}: take its Certificate away first`);
  }
  if (immutable === true) throw new WeftError("FailedPrecondition", "the authority's Secret is immutable");
}
