import type { X509Certificate } from "node:crypto";
import { WeftError } from "#base/errors.ts";
import { type AuthorityFiles, readAuthority, readCertificates } from "./authority.ts";
import { pathToRoot, rootId } from "./path.ts";

/**
 * The stages of replacing an authority and its root, in order: nothing is changed; both roots are trusted and the old authority
 * signs; the new one signs; the old root is trusted no more. An abort goes through them backwards.
 */
export const rotationStages = ["Unchanged", "BothTrusted", "NewIssues", "OldDropped"] as const;
export type RotationStage = (typeof rotationStages)[number];

/** Where a rotation goes: to the new authority, or back to the old one. */
export type RotationGoal = "new" | "old";

/** The authority as it is in a stage. */
export interface StagedAuthority {
  readonly files: AuthorityFiles;
  /** The root of what it signs (`rootId`). */
  readonly signer: string;
  /** All roots that are trusted. */
  readonly roots: readonly string[];
}

/** The authority of each stage. */
export type RotationPlan = Readonly<Record<RotationStage, StagedAuthority>>;

/** What a proxy was proven to hold: roots by `rootId`. */
export interface HeldTrust {
  /** That of its certificate. */
  readonly issuer: string;
  /** Those by which it checks its peers. */
  readonly roots: readonly string[];
  /** Those by which its agent checks the control plane. */
  readonly controlPlane: readonly string[];
  /** The version of the authority that its agent had heard of: what was told of another may not hold any more. */
  readonly version: string;
}

function rootOf({ certificate, chain, roots }: AuthorityFiles, now: number): X509Certificate {
  const [own, ...others] = readCertificates(certificate, "ca-cert.pem");
  const between = [...others, ...readCertificates(chain, "cert-chain.pem")];
  const path = own && pathToRoot(own, between, readCertificates(roots, "root-cert.pem"), now);
  const root = path?.at(-1);
  if (!root) throw new WeftError("InvalidArgument", "ca-cert.pem has no valid chain to a certificate of root-cert.pem");
  return root;
}

function rootsOf(...texts: readonly string[]): readonly X509Certificate[] {
  const all = texts.flatMap((text) => readCertificates(text, "root-cert.pem"));
  return [...new Map(all.map((root) => [rootId(root), root])).values()];
}

function staged(files: AuthorityFiles, signer: X509Certificate, roots: readonly X509Certificate[]): StagedAuthority {
  const text = roots.map(String).join("");
  return { files: { ...files, roots: text }, signer: rootId(signer), roots: roots.map(rootId) };
}

/**
 * Where proxies look into lists of revoked certificates, they refuse an authority that has none.
 * @throws WeftError `FailedPrecondition`.
 */
function checkLists(old: AuthorityFiles, next: AuthorityFiles): void {
  if ((old.revoked === "") === (next.revoked === "")) return;
  const [has, lacks] = old.revoked === "" ? ["new", "old"] : ["old", "new"];
  const what = `the ${has} authority has lists of revoked certificates (ca-crl.pem), and the ${lacks} one has none`;
  const fix = "give both lists, or neither, until the rotation is over";
  throw new WeftError("FailedPrecondition", `${what}, so that proxies would refuse what that signs: ${fix}`);
}

/**
 * What the authority is in each stage of a rotation. Of the old roots, only that of the old authority is dropped.
 * @param now milliseconds since the epoch.
 * @throws WeftError `InvalidArgument` for an authority that cannot sign, `FailedPrecondition` for two of one root.
 */
export function planRotation(old: AuthorityFiles, next: AuthorityFiles, now: number): RotationPlan {
  readAuthority(next, now);
  const [oldRoot, newRoot] = [rootOf(old, now), rootOf(next, now)];
  if (rootId(oldRoot) === rootId(newRoot)) {
    const fix = "an authority of the same root needs no rotation: write it into the Secret";
    throw new WeftError("FailedPrecondition", `the new authority's root is the one in use; ${fix}`);
  }
  checkLists(old, next);
  const revoked = old.revoked + next.revoked;
  const both = rootsOf(old.roots, next.roots);
  // Agents take new certificates when what is published changes: the order tells who signs.
  const newFirst = rootsOf(next.roots, old.roots);
  return {
    Unchanged: staged(old, oldRoot, rootsOf(old.roots)),
    BothTrusted: staged({ ...old, revoked }, oldRoot, both),
    NewIssues: staged({ ...next, revoked }, newRoot, newFirst),
    OldDropped: staged(
      { ...next, revoked },
      newRoot,
      newFirst.filter((root) => rootId(root) !== rootId(oldRoot)),
    ),
  };
}

/** Whether two authorities sign by the same certificate and trust the same roots. */
function sameAuthority(one: AuthorityFiles, other: AuthorityFiles): boolean {
  const [first] = readCertificates(one.certificate, "ca-cert.pem");
  const [second] = readCertificates(other.certificate, "ca-cert.pem");
  const [some, others] = [rootsOf(one.roots), rootsOf(other.roots)].map((roots) => new Set(roots.map(rootId)));
  return (
    first?.raw.equals(second?.raw ?? new Uint8Array()) === true &&
    some?.symmetricDifference(others ?? new Set()).size === 0
  );
}

/**
 * The stage that an authority is in.
 * @param last the stage that it was in when it was last looked at: where the new root was trusted before, two stages look the same.
 * @returns undefined for an authority that is of none: somebody else wrote it.
 */
export function stageOf(files: AuthorityFiles, plan: RotationPlan, last: RotationStage): RotationStage | undefined {
  const fitting = rotationStages.filter((stage) => {
    try {
      return sameAuthority(files, plan[stage].files);
    } catch {
      return false;
    }
  });
  return fitting.includes(last) ? last : fitting[0];
}

/** The stage that follows on the way to a goal; undefined at the end of it. */
export function nextStage(stage: RotationStage, goal: RotationGoal): RotationStage | undefined {
  return rotationStages[rotationStages.indexOf(stage) + (goal === "new" ? 1 : -1)];
}

/** Where a rotation is. */
export interface RotationPlace {
  readonly plan: RotationPlan;
  readonly stage: RotationStage;
  readonly goal: RotationGoal;
  /** The version of the authority's Secret that is in this stage. */
  readonly version: string;
}

/** What a step takes away: roots, or the authority that signs. What only adds a root harms nobody. */
export function needsProof(plan: RotationPlan, stage: RotationStage, goal: RotationGoal): boolean {
  const following = nextStage(stage, goal);
  if (!following) return true;
  const [now, then] = [plan[stage], plan[following]];
  return now.signer !== then.signer || now.roots.some((root) => !then.roots.includes(root));
}

/**
 * Why a proxy keeps a rotation in its stage; undefined for one that does not. A root is trusted by everybody before anything is
 * signed by it, and nobody has a certificate of a root that is dropped. At the end, nobody trusts what was dropped.
 */
export function objection(
  { issuer, roots, controlPlane, version }: HeldTrust,
  { plan, stage, goal, version: current }: RotationPlace,
): string | undefined {
  if (version !== current && needsProof(plan, stage, goal)) return "has told nothing since this stage began";
  const following = nextStage(stage, goal);
  if (!following) {
    const left = plan.BothTrusted.roots.filter((root) => !plan[stage].roots.includes(root) && roots.includes(root));
    return left.length === 0 ? undefined : `still trusts the root ${left.join(", ")}`;
  }
  if (!needsProof(plan, stage, goal)) return undefined;
  const then = plan[following];
  if (!roots.includes(then.signer)) return `does not trust the root ${then.signer} yet`;
  if (!controlPlane.includes(then.signer)) return `its agent does not trust the root ${then.signer} yet`;
  return then.roots.includes(issuer) ? undefined : `still has a certificate of the root ${issuer}`;
}

/** All that decides what a rotation does next. */
export interface RotationView {
  readonly plan: RotationPlan;
  readonly stage: RotationStage;
  readonly goal: RotationGoal;
  /** Nobody objects to the next step, and nobody has for as long as certificates are on their way. */
  readonly proven: boolean;
  /** The stage beyond which it does not go towards the new authority. */
  readonly holdAt?: RotationStage | undefined;
}

/** What a rotation does next: stays, has reached its goal, or goes to the following stage. */
export function advance({ plan, stage, goal, proven, holdAt }: RotationView): "stay" | "done" | RotationStage {
  if (needsProof(plan, stage, goal) && !proven) return "stay";
  const following = nextStage(stage, goal);
  if (!following) return "done";
  const held =
    goal === "new" && holdAt !== undefined && rotationStages.indexOf(stage) >= rotationStages.indexOf(holdAt);
  return held ? "stay" : following;
}
