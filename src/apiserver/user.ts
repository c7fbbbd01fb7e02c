import type { Authorship } from "#store/port.ts";

/** Who makes a request. Kubernetes' `authentication/v1.UserInfo`. */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  /** What else a credential says, such as the Pod that a token is bound to. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Groups that Kubernetes gives meaning to. */
export const group = {
  /** May do everything, whatever roles say. */
  masters: "system:masters",
  authenticated: "system:authenticated",
  unauthenticated: "system:unauthenticated",
  serviceAccounts: "system:serviceaccounts",
  nodes: "system:nodes",
} as const;

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
  /** What the client calls itself, `kubectl/v1.37.1`; empty for what does not say. */
  readonly agent: string;
  /** Kubernetes' verb, with the subresource: `patch`, `update status`. */
  readonly verb: string;
}

/** Who writes, as records of writes keep it; undefined for the server itself. */
export function authorship(by: Author | undefined): Authorship | undefined {
  return by === undefined ? undefined : { user: by.user.name, groups: by.user.groups, agent: by.agent, verb: by.verb };
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
