import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { WeftError } from "#base/errors.ts";
import { group, type User } from "../user.ts";

/** A verified certificate of a connection. */
interface Shown {
  readonly user: User;
  /** Milliseconds since the epoch. */
  readonly validTo: number;
}

/** What connections showed, so that it is read once. */
const known = new WeakMap<TLSSocket, Shown>();

function problem(text: string): WeftError {
  return new WeftError("Unauthenticated", `the client certificate ${text}`);
}

function read(socket: TLSSocket): Shown {
  // Node's types call it an error, but it is the text of OpenSSL's verdict.
  if (!socket.authorized) throw problem(`is refused: ${String(socket.authorizationError)}`);
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw problem("cannot be read");
  const { CN: names, O: organizations = [] } = certificate.toLegacyObject().subject as Readonly<
    Record<string, string | readonly string[] | undefined>
  >;
  if (typeof names !== "string" || names === "") throw problem("names no one user: its common name is missing");
  const groups = [...new Set([organizations].flat())].filter((name) => name !== group.authenticated);
  return {
    user: { name: names, groups: [...groups, group.authenticated] },
    validTo: certificate.validToDate.getTime(),
  };
}

/**
 * The user whose certificate a connection showed: the common name, and each organization a group, as Kubernetes has it.
 * @returns undefined where it showed none.
 * @throws WeftError `Unauthenticated` for a certificate that is not of this endpoint's authority, or is over by now.
 */
export function certificateUser({ socket }: IncomingMessage, now: number): User | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  let shown = known.get(socket);
  if (shown === undefined) {
    if (Object.keys(socket.getPeerCertificate()).length === 0) return undefined;
    shown = read(socket);
    known.set(socket, shown);
  }
  if (now > shown.validTo) throw problem("is over");
  return shown.user;
}
