import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** What a caller of HTTPS sees. */
export interface TlsAnswer {
  readonly status: number | undefined;
  readonly alpn: string | false | null;
  readonly version: string | null;
  /** Names in the server's certificate. */
  readonly certifiedFor: string | undefined;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: string;
  /** What OCSP said with the handshake, in DER. */
  readonly stapled: Buffer | undefined;
  /** Headers as the workload saw them; empty where a proxy answered. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Sends one request over TLS on a connection and closes it; fails as the handshake does. */
export function tlsRequest(
  socket: Socket,
  servername: string,
  options: ConnectionOptions,
  host: string = servername,
): Promise<TlsAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<TlsAnswer>();
  const secure = connectTls({ socket, servername, ...options });
  let stapled: Buffer | undefined;
  secure.on("OCSPResponse", (response: Buffer | null) => (stapled = response ?? undefined));
  secure.once("error", reject).once("close", () => reject(new Error("closed")));
  const request = httpsRequest({ host, path: "/", createConnection: () => secure, headers: { host } }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.on("end", () => {
      const { alpnProtocol: alpn } = secure;
      const headers = text.startsWith("{") ? (JSON.parse(text) as { headers: Record<string, string> }).headers : {};
      const { subjectaltname: certifiedFor, fingerprint256: fingerprint } = secure.getPeerCertificate();
      const version = secure.getProtocol();
      resolve({ status: response.statusCode, alpn, version, certifiedFor, fingerprint, stapled, headers });
      secure.destroy();
    });
  });
  request.once("error", reject).end();
  return promise;
}
