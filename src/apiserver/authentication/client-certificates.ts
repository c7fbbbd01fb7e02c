import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { backdateMs } from "../pki/authority.ts";
import type { ShownCertificate, Revocations } from "../pki/revocations.ts";
import { group, type User } from "../user.ts";
import type { Proven } from "./proof.ts";

/** A verified certificate of a connection. */
interface Shown extends ShownCertificate {
  readonly owner: User;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Tells credentials apart in records. Kubernetes' name. */
const credentialId = "authentication.kubernetes.io/credential-id";

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
    owner: {
      name: names,
      groups: [...groups, group.authenticated],
      extra: { [credentialId]: [`X509SHA256=${createHash("sha256").update(certificate.raw).digest("hex")}`] },
    },
    user: names,
    serial: certificate.serialNumber,
    made: certificate.validFromDate.getTime() + backdateMs,
    until: certificate.validToDate.getTime(),
  };
}

/** The certificates that clients of an endpoint show, and the connections that they have opened with them. */
export class ClientCertificates {
  readonly #revocations: Revocations;
  readonly #clock: Clock;
  /** What open connections have shown, so that it is read once. */
  readonly #shown = new Map<TLSSocket, Shown>();

  constructor(revocations: Revocations, clock: Clock) {
    this.#revocations = revocations;
    this.#clock = clock;
  }

  /**
   * The user whose certificate a connection showed: the common name, and each organization a group, as Kubernetes has it.
   * @returns undefined where it showed none.
   * @throws WeftError `Unauthenticated` for a certificate that is not of this endpoint's authority, is over or revoked by now.
   */
  userOf({ socket }: IncomingMessage): Proven | undefined {
    if (!(socket instanceof TLSSocket)) return undefined;
    let shown = this.#shown.get(socket);
    if (shown === undefined) {
      if (Object.keys(socket.getPeerCertificate()).length === 0) return undefined;
      shown = read(socket);
      this.#shown.set(socket, shown);
      socket.once("close", () => this.#shown.delete(socket));
    }
    const why = this.#problemOf(shown);
    if (why !== undefined) throw problem(why);
    return { user: shown.owner, proof: { until: shown.until } };
  }

  /** Ends the connections whose certificates are not good any more, whatever is going on over them. */
  sweep(): void {
    for (const [socket, shown] of this.#shown) if (this.#problemOf(shown) !== undefined) socket.destroy();
  }

  #problemOf(shown: Shown): string | undefined {
    if (this.#clock.now() > shown.until) return "is over";
    return this.#revocations.covers(shown) ? "has been revoked" : undefined;
  }
}
