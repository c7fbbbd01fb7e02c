import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { createAuthority, type Certificate } from "#base/testing/certificate.ts";
import { spiffeId } from "#identity/spiffe.ts";
import type { Caller } from "./caller.ts";
import type { Identities } from "./identities.ts";
import { tlsRequest } from "./tls-request.ts";

/** Callers that have no proxy: each connects to a workload's port itself. */
export type Stranger = "plain" | "stock" | "elsewhere" | "expired" | "foreign" | "nameless";

/** What a proxy of stock Istio offers when protocols are agreed on, for HTTP/1.1 and for bytes. */
const stockProtocols = { http: ["istio-http/1.1", "istio", "http/1.1"], bytes: ["istio-peer-exchange", "istio"] };

/** Their certificates; the one without any is absent. */
function certificatesOf({ authority }: Identities): Readonly<Record<string, Certificate>> {
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "stock" };
  const names = [spiffeId(identity)];
  return {
    stock: authority.issueFor({ names }),
    elsewhere: authority.issueFor({ names: [spiffeId({ ...identity, trustDomain: "old.example" })] }),
    expired: authority.issueFor({ names, until: new Date(Date.now() - 60_000) }),
    foreign: createAuthority("foreign").issueFor({ names }),
  };
}

/** Who a request says that it comes from, by its header; `plain` where nothing says. */
export function callerIn(headers: Readonly<Record<string, string>>): string {
  const uri = /URI=([^;,]*)/.exec(headers["x-forwarded-client-cert"] ?? "")?.[1];
  return uri === undefined ? "plain" : `as ${uri}`;
}

/** A failure as tests compare it: `alert certificate expired`, `no TLS` where the peer speaks something else, or `closed`. */
function failureOf(fault: unknown): string {
  // OpenSSL's words, which are in the message whoever came upon them first: a reader or a writer.
  const text = String(fault);
  const [, alert] = /\balert ([a-z ]+):/.exec(text) ?? [];
  if (alert !== undefined) return `alert ${alert}`;
  if (/wrong version number|packet length/.test(text)) return "no TLS";
  return text.includes("nothing comes") ? "silence" : "closed";
}

/** Milliseconds after which a peer that says nothing will not say anything. */
export const patience = 2_000;

/** What a peer says until it has sent back what it was sent, in case that it waits for something; fails where it closes. */
export async function echoed(stream: Duplex): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const silence = setTimeout(() => reject(new Error("nothing comes")), patience);
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += String(chunk);
    if (text.includes("!")) resolve(text);
  });
  stream.once("error", reject).once("close", () => reject(new Error("closed")));
  // Enough for a proxy to see that it is neither TLS nor HTTP.
  stream.write("{knock knock}!");
  try {
    return await promise;
  } finally {
    clearTimeout(silence);
    stream.destroy();
  }
}

/** Callers without proxies, from one place. */
export class Strangers {
  readonly #from: Caller;
  readonly #authority: string;
  readonly #certificates: Readonly<Record<string, Certificate>>;

  constructor(from: Caller, identities: Identities) {
    this.#from = from;
    this.#authority = identities.authority.certificate;
    this.#certificates = certificatesOf(identities);
  }

  /** Sends an HTTP/1.1 request. @returns what becomes of it: who it came from as the workload is told, or why it failed. */
  async request(who: Stranger, address: string, port: number, more: ConnectionOptions = {}): Promise<string> {
    try {
      if (who === "plain") {
        const { seen } = await this.#from.send(`http://${address}:${port}/`, { fresh: true });
        return seen ? callerIn(seen.headers) : "no answer";
      }
      const socket = await this.#from.connect(address, port);
      const options = { ...this.#options(who), ALPNProtocols: stockProtocols.http, ...more };
      const { servername = "outbound_.80_._.any.shop.svc.cluster.local" } = more;
      const { status, headers } = await tlsRequest(socket, servername, options);
      return status === 200 ? callerIn(headers) : `status ${status}`;
    } catch (fault) {
      return failureOf(fault);
    }
  }

  /** Sends bytes. @returns what comes back, or why nothing does. */
  async bytes(who: Stranger, address: string, port: number): Promise<string> {
    try {
      const socket = await this.#from.connect(address, port);
      if (who === "plain") return await echoed(socket);
      return await echoed(connectTls({ socket, ...this.#options(who), ALPNProtocols: stockProtocols.bytes }));
    } catch (fault) {
      return failureOf(fault);
    }
  }

  /** Opens a connection as a stock Istio proxy does that passes bytes on. */
  async secured(address: string, port: number, more: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = await this.#from.connect(address, port);
    const secure = connectTls({ socket, ...this.#options("stock"), ALPNProtocols: stockProtocols.bytes, ...more });
    await new Promise((resolve, reject) => {
      secure.once("secureConnect", resolve).once("error", reject);
    });
    return secure;
  }

  #options(who: Exclude<Stranger, "plain">): ConnectionOptions {
    const { certificate: cert, key } = this.#certificates[who] ?? {};
    // Who a server is says its SPIFFE id, for which Node does not look.
    const ca = this.#authority;
    return { ca, checkServerIdentity: () => undefined, ...(cert !== undefined && { cert }), ...(key && { key }) };
  }
}
