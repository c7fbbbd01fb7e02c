import type { IncomingMessage } from "node:http";
import { type Agent, request as httpsRequest } from "node:https";
import { createInterface } from "node:readline";
import type { FrontProxyTrust } from "#api/front-proxy.ts";
import { memberServerName } from "#api/member-api.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { MemberApis } from "../members/apis.ts";
import type { Member, NamespaceState, Verdict } from "../members/member.ts";
import { Authority, type Credential } from "../pki/authority.ts";
import type { Json } from "./server.ts";

/** A request of somebody in a member cluster. */
interface Passed {
  readonly method?: string;
  readonly body?: unknown;
  readonly type?: string;
  /** Whose headers the cluster's API server sends; an administrator of the cluster unless told. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Other than the certificate of the cluster's API server; `null` for none. */
  readonly shown?: Credential | null;
  /** Keeps connections for more requests; each has one of its own unless told. */
  readonly agent?: Agent;
  /** Other than the name by which the cluster's API server calls. */
  readonly serverName?: string;
}

/** A member cluster as the mesh's API sees it, whose answers a test decides. */
export class TestMember implements Member {
  readonly name: string;
  readonly authority: Authority;
  /** What its API server shows. */
  readonly proxy: Credential;
  /** How it has namespaces; absent unless told. */
  readonly namespaces = new Map<string, NamespaceState>();
  /** Whether it cannot be asked. */
  away = false;
  /** What was asked of its roles. */
  readonly reviews: object[] = [];
  /** What its roles say of a review; yes unless told. */
  verdict: (spec: Json) => Verdict = () => ({ allowed: true, reason: "" });
  trusted: FrontProxyTrust | undefined;
  readonly #apis: MemberApis;

  constructor(apis: MemberApis, name: string) {
    this.name = name;
    this.#apis = apis;
    this.authority = Authority.open(undefined, `front proxy of ${name}`, systemClock);
    this.proxy = this.proxyCertificate("front-proxy-client");
    this.trusted = this.trustIn(this.authority);
  }

  /** A certificate of the authority of its front proxies. */
  proxyCertificate(name: string): Credential {
    return this.authority.issueClient({ name, groups: [] }, 3_600_000);
  }

  /** Trust in front proxies of some authorities. */
  trustIn(...authorities: readonly Authority[]): FrontProxyTrust {
    return {
      authorities: authorities.map(({ certificate }) => certificate),
      allowedNames: ["front-proxy-client"],
      userHeaders: ["x-remote-user"],
      uidHeaders: ["x-remote-uid"],
      groupHeaders: ["x-remote-group"],
      extraPrefixes: ["x-remote-extra-"],
    };
  }

  trust(): FrontProxyTrust | undefined {
    return this.trusted;
  }

  async namespace(name: string): Promise<NamespaceState> {
    if (this.away) throw new WeftError("Unavailable", "nobody answers");
    return this.namespaces.get(name) ?? "absent";
  }

  async review(spec: object): Promise<Verdict> {
    if (this.away) throw new WeftError("Unavailable", "nobody answers");
    this.reviews.push(spec);
    return this.verdict(spec);
  }

  /** A request that the cluster's API server passes on. */
  async ask(path: string, passed: Passed = {}): Promise<{ readonly status: number; readonly json: Json }> {
    const response = await this.#send(path, passed);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    return { status: response.statusCode ?? 0, json: text.startsWith("{") ? JSON.parse(text) : text };
  }

  /** A watch that the cluster's API server passes on, event by event. */
  async watch(path: string, passed: Passed = {}): Promise<Disposable & { next(): Promise<Json> }> {
    const response = await this.#send(path, passed);
    const lines = createInterface({ input: response })[Symbol.asyncIterator]();
    return {
      async next() {
        const { value, done } = await lines.next().catch(() => ({ value: undefined, done: true }));
        return done === true ? undefined : JSON.parse(value as string);
      },
      [Symbol.dispose]: () => response.destroy(),
    };
  }

  #send(
    path: string,
    { method = "GET", body, type, headers, shown, serverName, agent }: Passed,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const { address, authority: ca } = this.#apis;
    if (!("port" in address)) throw new Error("members are reached over TCP");
    const credential = shown === null ? undefined : (shown ?? this.proxy);
    const content = body === undefined ? undefined : JSON.stringify(body);
    const sent = httpsRequest(
      {
        host: address.host,
        port: address.port,
        path,
        method,
        agent: agent ?? false,
        ca,
        servername: serverName ?? memberServerName(this.name),
        ...(credential === undefined ? {} : { cert: credential.certificate, key: credential.key }),
        headers: {
          ...(headers ?? { "X-Remote-User": "root", "X-Remote-Group": "system:masters" }),
          ...(content === undefined
            ? {}
            : { "Content-Type": type ?? "application/json", "Content-Length": Buffer.byteLength(content) }),
        },
      },
      resolve,
    );
    sent.on("error", reject);
    sent.end(content);
    return promise;
  }
}
