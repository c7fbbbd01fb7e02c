import { constants, type X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket, type TlsOptions } from "node:tls";

/** What a server shows, and what it checks clients' certificates by; PEM. */
export interface ServerCredentials {
  /** Its certificate, followed by what leads to the root. */
  readonly certificate: string;
  readonly key: string;
  /** Authorities of clients' certificates. */
  readonly roots: readonly string[];
}

/** A server's credentials, which may be replaced while it serves. */
export interface CredentialSource {
  readonly current: ServerCredentials;
  /** Calls back when there are others; connections from before go on with what they began. */
  onChange(callback: () => void): Disposable;
}

/** The part of the options that follows the credentials. */
export function contextOptions({ certificate, key, roots }: ServerCredentials): TlsOptions {
  return {
    cert: certificate,
    key,
    ca: [...roots],
    minVersion: "TLSv1.2",
    // A session that is resumed would keep what was found of a client's certificate by roots that are gone since.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Milliseconds that a handshake may take. */
const handshakeMs = 10_000;

/** How clients' certificates are asked for: whoever has none proves who it is in another way, call by call. */
export const clientOptions: TlsOptions = {
  requestCert: true,
  rejectUnauthorized: false,
  handshakeTimeout: handshakeMs,
};

/** The certificate that the other end of a connection showed, if it leads to one of the roots. */
export function verifiedCertificate(socket: Socket | TLSSocket): X509Certificate | undefined {
  return socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined;
}
