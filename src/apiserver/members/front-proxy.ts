import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { FrontProxyTrust } from "#api/front-proxy.ts";
import { WeftError } from "#base/errors.ts";
import type { Proven } from "../authentication/proof.ts";
import { anonymous, group, type User } from "../user.ts";

/** Values of all headers of some names, in the order of the names; empty ones mean nothing. */
function values({ rawHeaders }: IncomingMessage, names: readonly string[]): readonly string[] {
  return names.flatMap((wanted) =>
    rawHeaders.flatMap((header, index) => {
      const value = rawHeaders[index + 1] ?? "";
      return index % 2 === 0 && header.toLowerCase() === wanted && value !== "" ? [value] : [];
    }),
  );
}

function decoded(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    // Kubernetes keeps what it cannot read rather than lose it.
    return key;
  }
}

function extraOf(
  { rawHeaders }: IncomingMessage,
  prefixes: readonly string[],
): Readonly<Record<string, readonly string[]>> {
  const extra = new Map<string, string[]>();
  for (const prefix of prefixes) {
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const header = (rawHeaders[index] ?? "").toLowerCase();
      if (!header.startsWith(prefix)) continue;
      const key = decoded(header.slice(prefix.length));
      extra.set(key, [...(extra.get(key) ?? []), rawHeaders[index + 1] ?? ""]);
    }
  }
  return Object.fromEntries(extra);
}

/** The groups of a user who is somebody hold that of all who are. */
function groupsOf(name: string, given: readonly string[]): readonly string[] {
  const complete =
    name === anonymous.name || given.includes(group.authenticated) || given.includes(group.unauthenticated);
  return complete ? given : [...given, group.authenticated];
}

/** The user that the headers of a passed-on request name; undefined where they name none. */
function userInHeaders(request: IncomingMessage, trust: FrontProxyTrust, member: string): User | undefined {
  const [name] = values(request, trust.userHeaders);
  if (name === undefined) return undefined;
  const [uid] = values(request, trust.uidHeaders);
  const extra = extraOf(request, trust.extraPrefixes);
  return {
    name,
    ...(uid === undefined ? {} : { uid }),
    groups: groupsOf(name, values(request, trust.groupHeaders)),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
    member,
  };
}

function refused(problem: string): WeftError {
  return new WeftError("Unauthenticated", problem);
}

/**
 * Who makes a request that the API server of a member passes on. Its headers are believed for the connection's certificate alone,
 * which must be of an authority that the member itself names for this.
 * @throws WeftError `Unauthenticated`.
 */
export function provenByFrontProxy(
  request: IncomingMessage,
  socket: TLSSocket,
  { member, trust }: { readonly member: string; readonly trust: FrontProxyTrust },
): Proven {
  // Node's types call it an error, but it is the text of OpenSSL's verdict.
  if (!socket.authorized)
    throw refused(`the connection's certificate is refused: ${String(socket.authorizationError)}`);
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw refused("the connection shows no certificate");
  const { CN: name } = certificate.toLegacyObject().subject as Readonly<Record<string, unknown>>;
  const { allowedNames } = trust;
  if (allowedNames.length > 0 && !(typeof name === "string" && allowedNames.includes(name))) {
    throw refused(`the connection's certificate is of ${JSON.stringify(name)}, who passes no requests on`);
  }
  const user = userInHeaders(request, trust, member);
  if (user === undefined) throw refused("the request names no user");
  return { user, proof: { until: certificate.validToDate.getTime() } };
}
