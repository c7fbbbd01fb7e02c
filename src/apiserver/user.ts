import type { Authorship } from "#store/port.ts";

/** Who makes a request. Kubernetes' `authentication/v1.UserInfo`. */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  /** What else a credential says, such as the Pod that a token is bound to. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  /** The member cluster that knows the user by this name and these groups; absent for users of this endpoint itself. */
  readonly member?: string;
}

/** Groups that Kubernetes gives meaning to. */
export const group = {
  /** May do everything, whatever roles say. */
  masters: "system:masters",
  authenticated: "system:authenticated",
  unauthenticated: "system:unauthenticated",
  serviceAccounts: "system:serviceaccounts",
  nodes: "system:nodes",
  /** Everybody who comes from a member cluster. */
  members: "system:weft:members",
} as const;

/**
 * A user as the mesh knows them: those of a member cluster by names that tell the cluster, `system:weft:member:east:alice`, groups as well,
 * so that no name of one cluster means anything in another or in the mesh. Nobody else has names that begin so.
 */
export function meshUser(user: User): User {
  if (user.member === undefined) return user;
  const own = `system:weft:member:${user.member}`;
  return {
    name: `${own}:${user.name}`,
    groups: [...user.groups.map((name) => `${own}:${name}`), own, group.members],
    extra: { ...user.extra, "mesh.weft.dev/cluster": [user.member] },
  };
}

/** Who showed no credential. */
export const anonymous: User = { name: "system:anonymous", groups: [group.unauthenticated] };

/** Whoever reaches a Unix socket that only its owner can open: that owner administers this machine's server. */
export const localAdministrator: User = {
  name: "system:weft:local-administrator",
  groups: [group.masters, group.authenticated],
};

/** Who writes, and how. */
export interface Author {
  readonly user: User;
  /** Whose credential was shown, where that is another's. */
  readonly impersonator?: User;
  /** What the client calls itself, `kubectl/v1.37.1`; empty for what does not say. */
  readonly agent: string;
  /** Kubernetes' verb, with the subresource: `patch`, `update status`. */
  readonly verb: string;
}

/** Who writes, as records of writes keep it; undefined for the server itself. */
export function authorship(by: Author | undefined): Authorship | undefined {
  if (by === undefined) return undefined;
  const { name, groups } = meshUser(by.user);
  const impersonator = by.impersonator && { impersonator: meshUser(by.impersonator).name };
  return { user: name, groups, ...impersonator, agent: by.agent, verb: by.verb };
}

/** What Kubernetes calls the user that a service account is. */
export function serviceAccountUser(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

/** The user as `authentication/v1.UserInfo` has it in JSON. */
export function userInfo({ name, uid, groups, extra }: User): object {
  return {
    username: name,
    ...(uid === undefined ? {} : { uid }),
    groups,
    ...(extra === undefined ? {} : { extra }),
  };
}
