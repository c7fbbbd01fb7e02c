import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { ApiError } from "../status.ts";
import { anonymous, group, type User } from "../user.ts";
import { checkOf } from "./attributes.ts";
import type { Authorizer } from "./authorizer.ts";

const prefix = "impersonate-";
const extraPrefix = `${prefix}extra-`;

/** Values of a header that may stand several times; Node joins them, and commas cannot stand in names of groups. */
function values({ rawHeaders }: IncomingMessage, name: string): readonly string[] {
  return rawHeaders.flatMap((header, index) =>
    index % 2 === 0 && header.toLowerCase() === name ? [rawHeaders[index + 1] ?? ""] : [],
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ApiError("BadRequest", `the header ${extraPrefix}${text} has a wrong escape`);
  }
}

function extraOf(request: IncomingMessage): ReadonlyMap<string, readonly string[]> {
  const names = Object.keys(request.headers).filter((name) => name.startsWith(extraPrefix));
  return new Map(names.map((name) => [decode(name.slice(extraPrefix.length)), values(request, name)]));
}

/** The groups that come with a name, unless groups are given. */
function groupsOf(name: string, given: readonly string[]): readonly string[] {
  if (name === anonymous.name) return given.length === 0 ? anonymous.groups : given;
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name) ?? [];
  const account = [group.serviceAccounts, `${group.serviceAccounts}:${namespace ?? ""}`];
  const own = given.length === 0 && namespace !== undefined ? account : given;
  return own.includes(group.authenticated) ? own : [...own, group.authenticated];
}

function strip(headers: IncomingHttpHeaders): void {
  for (const name of Object.keys(headers)) if (name.startsWith(prefix)) delete headers[name];
}

/**
 * Who a request is to be done as: whom Kubernetes' `Impersonate-*` headers name, if its user may do that.
 * @throws ApiError `Forbidden`, or `BadRequest` for headers that name no user.
 */
export async function impersonated(request: IncomingMessage, user: User, authorizer: Authorizer): Promise<User> {
  const [name] = values(request, `${prefix}user`);
  const groups = values(request, `${prefix}group`);
  const [uid] = values(request, `${prefix}uid`);
  const extra = extraOf(request);
  if (name === undefined) {
    if (groups.length === 0 && uid === undefined && extra.size === 0) return user;
    throw new ApiError("BadRequest", "groups, a uid or extra values are impersonated without impersonating a user");
  }
  const authentication = "authentication.k8s.io";
  const require = (resource: string, one: string, more: object = {}): Promise<void> =>
    authorizer.require(user, checkOf({ verb: "impersonate", group: "", resource, name: one, ...more }));
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? [];
  if (account === undefined || namespace === undefined) await require("users", name);
  else await require("serviceaccounts", account, { namespace });
  for (const one of groups) await require("groups", one);
  if (uid !== undefined) await require("uids", uid, { group: authentication });
  for (const [key, texts] of extra) {
    for (const text of texts) await require("userextras", text, { group: authentication, subresource: key });
  }
  strip(request.headers);
  return {
    name,
    ...(uid === undefined ? {} : { uid }),
    groups: groupsOf(name, groups),
    ...(extra.size === 0 ? {} : { extra: Object.fromEntries(extra) }),
  };
}
