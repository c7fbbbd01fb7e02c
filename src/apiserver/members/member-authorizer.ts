import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import { refusal, type Attributes } from "../authorization/attributes.ts";
import type { Authorizer } from "../authorization/authorizer.ts";
import type { Decision } from "../authorization/rbac.ts";
import { ApiError } from "../status.ts";
import { group, meshUser, type User } from "../user.ts";
import type { Member, Verdict } from "./member.ts";

/** Milliseconds that a cluster's verdict is good, as servers behind Kubernetes' API server have it. */
const keptMs = 10_000;

/** Verdicts that are kept. */
const most = 4_096;

interface Kept {
  readonly verdict: Promise<Verdict>;
  /** On the monotonic clock. */
  readonly until: number;
}

function specOf(user: User, attributes: Attributes): object {
  const { name, uid, groups, extra } = user;
  const who = { user: name, groups, ...(uid === undefined ? {} : { uid }), ...(extra === undefined ? {} : { extra }) };
  if (attributes.kind === "path") {
    return { ...who, nonResourceAttributes: { verb: attributes.verb, path: attributes.path } };
  }
  const { kind: _, fieldSelector, ...resource } = attributes;
  const selector = fieldSelector === "" ? {} : { fieldSelector: { rawSelector: fieldSelector } };
  return { ...who, resourceAttributes: { ...resource, version: "*", ...selector } };
}

/**
 * Decides who of a member cluster may do what with the mesh's objects: what the cluster's own roles allow, which it is asked for
 * (`SubjectAccessReview`), as long as the mesh's roles allow it to users of that cluster too.
 */
export class MemberAuthorizer {
  readonly #member: Member;
  readonly #mesh: Authorizer;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();

  /** @param mesh decides by the mesh's roles. */
  constructor(member: Member, mesh: Authorizer, clock: Clock) {
    this.#member = member;
    this.#mesh = mesh;
    this.#clock = clock;
  }

  /** Whether a user of the cluster may do something, and why. @throws ApiError `ServiceUnavailable` while the cluster cannot be asked. */
  async authorize(user: User, attributes: Attributes): Promise<Decision> {
    const theirs = user.groups.includes(group.masters)
      ? { allowed: true, reason: "" }
      : await this.#ask(user, attributes);
    if (!theirs.allowed) return theirs;
    const ours = await this.#mesh.authorize(meshUser(user), attributes);
    if (ours.allowed) return { allowed: true, reason: theirs.reason };
    const { name } = this.#member;
    return { allowed: false, reason: `the mesh's own roles do not allow it to users of cluster "${name}"` };
  }

  /** @throws ApiError `Forbidden` unless a user of the cluster may do something. */
  async require(user: User, attributes: Attributes): Promise<void> {
    const { allowed, reason } = await this.authorize(user, attributes);
    if (!allowed) throw refusal(user, attributes, reason);
  }

  async #ask(user: User, attributes: Attributes): Promise<Verdict> {
    const spec = specOf(user, attributes);
    const key = JSON.stringify(spec);
    const now = this.#clock.monotonic();
    let kept = this.#kept.get(key);
    if (kept === undefined || now > kept.until) {
      kept = { verdict: this.#member.review(spec), until: now + keptMs };
      this.#keep(key, kept);
    }
    try {
      return await kept.verdict;
    } catch (error) {
      // What went wrong is no verdict: the next request asks again.
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
      const problem = `cluster "${this.#member.name}" cannot be asked whether its user ${JSON.stringify(user.name)} may do this`;
      throw new ApiError("ServiceUnavailable", `${problem}: ${messageOf(error)}`);
    }
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > most && oldest !== undefined) this.#kept.delete(oldest);
  }
}
