import { kindOf } from "#api/kinds.ts";
import { Validator } from "#api/validation.ts";
import { aborted } from "#base/aborted.ts";
import { WebhookKeeper } from "#controllers/webhooks/keeper.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import type { CredentialSource } from "#grpc/tls.ts";
import { reviewObject } from "#injection/review.ts";
import type { Companion } from "#sources/members/companion.ts";
import { Injector, type InjectorOptions } from "./injector.ts";
import { WebhookServer } from "./server.ts";

/** What webhooks need of the control plane. */
export interface MeshWebhooksOptions extends InjectorOptions {
  /** Where they are served, over TLS. */
  readonly address: ListenAddress;
  readonly rootNamespace: string;
  /** The authorities that the control plane's certificate leads to, in PEM; undefined while they are not known. */
  readonly roots: () => string | undefined;
}

/** The control plane's admission webhooks: they are served, and the clusters that ask them know whom they ask. */
export class MeshWebhooks {
  readonly #options: MeshWebhooksOptions;
  readonly #injector: Injector;
  readonly #keeper: WebhookKeeper;
  readonly #serving = Promise.withResolvers<void>();

  constructor(options: MeshWebhooksOptions) {
    this.#options = options;
    this.#injector = new Injector(options);
    this.#keeper = new WebhookKeeper(options);
  }

  /** Follows each member beside the model: its nodes, and its webhooks. */
  readonly companion: Companion = {
    audience: (cluster) => this.#injector.audience(cluster),
    follow: async (cluster, client, signal) => {
      await Promise.race([this.#serving.promise, aborted(signal)]);
      if (!signal.aborted) await this.#keeper.follow(cluster, client, signal);
    },
    left: (cluster) => this.#injector.left(cluster),
  };

  /** The authorities are others. */
  changed(): void {
    this.#keeper.changed();
  }

  /** Follows the settings until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#injector.run(signal);
  }

  /** Serves, once the settings have been read: Pods would be made by others. */
  async serve(credentials: CredentialSource, signal: AbortSignal): Promise<WebhookServer> {
    await Promise.race([this.#injector.synced, aborted(signal)]);
    signal.throwIfAborted();
    const validator = new Validator();
    const server = await WebhookServer.listen({
      address: this.#options.address,
      credentials,
      inject: (request, path) => this.#injector.review(request, path),
      validate: (request) => reviewObject(request, kindOf, validator),
      clock: this.#options.clock,
      logger: this.#options.logger,
    });
    this.#serving.resolve();
    return server;
  }
}
