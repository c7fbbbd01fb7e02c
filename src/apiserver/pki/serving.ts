import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Access } from "../access.ts";
import type { Front, TlsSettings } from "../front.ts";
import type { ListenAddress } from "../listener.ts";
import { isDue, type Credential } from "./authority.ts";

/** Names that an API always has: this machine's, and those that programs in Pods use for Kubernetes' API. */
const standardNames = [
  "localhost",
  "127.0.0.1",
  "::1",
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
];

/** The certificate that an endpoint serves with, renewed when two thirds of its life are over. */
export class ServingTls {
  readonly #access: Access;
  readonly #names: readonly string[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  #serving: Credential;

  constructor(access: Access, listeners: readonly ListenAddress[], clock: Clock, logger: Logger) {
    const hosts = listeners.flatMap((address) => ("host" in address ? [address.host] : []));
    const own = hosts.filter((host) => host !== "0.0.0.0" && host !== "::");
    this.#access = access;
    this.#names = [...new Set([...standardNames, ...own, ...access.serverNames])];
    this.#clock = clock;
    this.#logger = logger;
    this.#serving = access.authority.issueServing(this.#names);
  }

  /** What to speak TLS with now. */
  get settings(): TlsSettings {
    return { serving: this.#serving, clientAuthority: this.#access.authority.certificate };
  }

  /** Renews what is due, and gives it to the listeners. What cannot be renewed stays, and is tried again. */
  maintain(fronts: readonly Front[]): void {
    try {
      this.#access.authority.maintain();
      if (isDue(this.#serving.certificate, this.#clock.now())) {
        this.#serving = this.#access.authority.issueServing(this.#names);
      }
      for (const front of fronts) front.renew(this.settings);
    } catch (error) {
      this.#logger.error("certificates could not be renewed; trying again", { error: messageOf(error) });
    }
  }
}
