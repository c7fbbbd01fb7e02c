import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import { type ChannelOptions, Client, credentials, Metadata } from "@grpc/grpc-js";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { readCertificates } from "#identity/authority.ts";

/** How a control plane proves itself to the agent, and the agent to it. */
export interface ControlPlaneTrust {
  /** File of the authorities that the control plane's certificate is checked by, in PEM; read again when it changes. */
  readonly rootsFile: string;
  /** File of the node agent's bearer token; read again when it changes. */
  readonly tokenFile: string;
  /** The name that the control plane's certificate must have: Istio's `istiod.istio-system.svc`. */
  readonly serverName: string;
}

/** A service of the control plane. */
export interface ControlPlaneOptions {
  /** As gRPC writes addresses: `unix:/run/weft/demo/ads.sock`, `istiod.istio-system.svc:15012`; or addresses of several replicas, `10.0.0.1:15012,10.0.0.2:15012`. */
  readonly address: string;
  /** Absent for plain text, which is for sockets of this machine only. */
  readonly trust?: ControlPlaneTrust;
  readonly logger: Logger;
}

/** Resources of a large mesh come as one message. */
const anySize = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/** A control plane on another machine that is gone says nothing: it is noticed while streams are open. */
const keepalive: ChannelOptions = { "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 10_000 };

/** Milliseconds for which a connection is tried again and again before who asked for it is told. */
const attemptsMs = 2_500;

const connection: ChannelOptions = {
  ...anySize,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
};

/** In an order by chance: each connection tries them one after the other. */
function shuffled(list: readonly string[]): readonly string[] {
  const keyed = list.map((value) => ({ value, key: Math.random() }));
  return keyed.toSorted((one, other) => one.key - other.key).map(({ value }) => value);
}

/** The address in gRPC's form. @throws WeftError `InvalidArgument` for several that are not addresses of IP. */
function targetOf(address: string): string {
  if (!address.includes(",") || /^[a-z0-9]+:[^0-9]/.test(address)) return address;
  const each = address.split(",");
  const families = new Set(each.map((one) => isIP(/^\[?(.*?)\]?:\d+$/.exec(one)?.[1] ?? "")));
  const [family] = families;
  if (families.size === 1 && family !== 0) return `ipv${family}:${shuffled(each).join(",")}`;
  throw new WeftError(
    "InvalidArgument",
    `${address}: write several control planes as addresses of IP of one family, 10.0.0.1:15012,10.0.0.2:15012; a name may have several addresses by itself`,
  );
}

/** A message without the times, and the empty notes, that gRPC's library puts in: the same trouble has the same words. */
export function withoutTimes(message: string): string {
  return message.replaceAll(/ \(\d{4}-\d\d-\d\dT[^)]*\)|\.? Resolution note: $/g, "");
}

/** Different troubles that are told before there is an answer again. */
const mostTroubles = 10;

/** The roots as they are, kept while their file cannot be read or is no certificates. */
class Roots {
  readonly #file: string;
  #text: string | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** @throws WeftError `Unavailable` when there are none and never were. */
  read(): string {
    try {
      const text = readFileSync(this.#file, "utf8");
      if (text !== this.#text) {
        if (readCertificates(text, "the file").length === 0) throw new Error("it holds no certificate");
        this.#text = text;
      }
    } catch (error) {
      if (this.#text === undefined)
        throw new WeftError("Unavailable", `the control plane's roots in ${this.#file} cannot be read`, error);
    }
    return this.#text ?? "";
  }
}

/** A service of the control plane, and what the agent says of how it is reached: once for each trouble, not for each proxy. */
export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #roots: Roots | undefined;
  /** What went wrong since it last answered. */
  readonly #troubles = new Set<string>();

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    if (options.trust) this.#roots = new Roots(options.trust.rootsFile);
  }

  /** The roots that it is checked by, in PEM; empty while there are none. */
  get roots(): string {
    try {
      return this.#roots?.read() ?? "";
    } catch {
      return "";
    }
  }

  /** A connection of its own: a proxy that takes nothing must not hold up others. */
  connect(): ControlPlaneConnection {
    const { address, trust } = this.#options;
    // What is written wrongly is told now, and not by every proxy.
    targetOf(address);
    if (!trust) {
      const make = (): Client => new Client(targetOf(address), credentials.createInsecure(), connection);
      return new ControlPlaneConnection(() => "", make);
    }
    const named = { "grpc.ssl_target_name_override": trust.serverName, "grpc.default_authority": trust.serverName };
    return new ControlPlaneConnection(
      () => this.#roots?.read() ?? "",
      (ca) => {
        const context = createSecureContext({ ca, minVersion: "TLSv1.2" });
        return new Client(targetOf(address), credentials.createFromSecureContext(context), {
          ...connection,
          ...keepalive,
          ...named,
        });
      },
    );
  }

  /**
   * What is sent beside each request: the bearer token, never in plain text.
   * @throws WeftError `Unavailable` when the token cannot be read.
   */
  metadata(): Metadata {
    const metadata = new Metadata();
    const { trust } = this.#options;
    if (!trust) return metadata;
    try {
      metadata.set("authorization", `Bearer ${readFileSync(trust.tokenFile, "utf8").trim()}`);
    } catch (error) {
      throw new WeftError("Unavailable", `the agent's token in ${trust.tokenFile} cannot be read`, error);
    }
    return metadata;
  }

  /** Tells of a request that failed, if that is news. */
  failed(error: unknown): void {
    if (codeOf(error) === "Cancelled") return;
    const trouble = withoutTimes(messageOf(error));
    if (this.#troubles.has(trouble) || this.#troubles.size === mostTroubles) return;
    this.#troubles.add(trouble);
    const { address, logger } = this.#options;
    logger.warn("the control plane does not serve this agent", { address, error: trouble });
  }

  /** It answered. */
  answered(): void {
    if (this.#troubles.size === 0) return;
    this.#troubles.clear();
    this.#options.logger.info("the control plane serves this agent again", { address: this.#options.address });
  }
}

/** A connection that is made anew once the roots that it is checked by have changed. Streams of the one before go on. */
export class ControlPlaneConnection implements Disposable {
  readonly #roots: () => string;
  readonly #make: (roots: string) => Client;
  #current: { readonly roots: string; readonly client: Client } | undefined;

  constructor(roots: () => string, make: (roots: string) => Client) {
    this.#roots = roots;
    this.#make = make;
  }

  /** What the next request is sent by. @throws WeftError `Unavailable` when there are no roots. */
  get client(): Client {
    const roots = this.#roots();
    if (this.#current?.roots !== roots) {
      this.#current?.client.close();
      this.#current = { roots, client: this.#make(roots) };
    }
    return this.#current.client;
  }

  /**
   * Waits until it is connected, for a while: behind the one address of a Service another replica may take the next attempt. Who then
   * sends a request is told what is wrong.
   */
  async attempt(clock: Pick<Clock, "now">): Promise<void> {
    const { client } = this;
    await new Promise<void>((resolve) => client.waitForReady(clock.now() + attemptsMs, () => resolve()));
  }

  /** Has the next request make a connection of its own: what was chosen for this one ended it. Streams of it go on. */
  renew(): void {
    this.#current?.client.close();
    this.#current = undefined;
  }

  [Symbol.dispose](): void {
    this.renew();
  }
}
