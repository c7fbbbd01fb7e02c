import { generateKeyPairSync } from "node:crypto";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { CredentialSource, ServerCredentials } from "#grpc/tls.ts";
import type { Signer } from "#identity/signer.ts";
import { makeSigningRequest } from "#identity/signing-request.ts";

/** What a server's certificate needs. */
export interface ServerCertificateOptions {
  readonly signer: Signer;
  /** The trusted roots as one PEM text. */
  readonly roots: () => string;
  /** DNS names and addresses by which clients know the server. */
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds that it is valid, and after which a renewal that failed is tried again. */
const lifetimeMs = 86_400_000;
const againMs = 10_000;

/** The control plane's own certificate: its key never leaves the process, and it is renewed when half of its life is over. */
export class ServerCertificate implements CredentialSource, Disposable {
  readonly #options: ServerCertificateOptions;
  readonly #changed = new Set<() => void>();
  #current: ServerCredentials;
  #renewal: Disposable | undefined;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(options: ServerCertificateOptions, first: ServerCredentials) {
    this.#options = options;
    this.#current = first;
  }

  /** @throws WeftError when the authority does not sign. */
  static async create(options: ServerCertificateOptions): Promise<ServerCertificate> {
    const { credentials, expires } = await issued(options);
    const certificate = new ServerCertificate(options, credentials);
    certificate.#schedule((expires - options.clock.now()) / 2);
    return certificate;
  }

  get current(): ServerCredentials {
    return this.#current;
  }

  onChange(callback: () => void): Disposable {
    this.#changed.add(callback);
    return { [Symbol.dispose]: () => this.#changed.delete(callback) };
  }

  /** Takes a new certificate by the authority and the roots of now; one after the other. */
  renew(): void {
    this.#renewing = this.#renewing.then(async () => this.#renew());
  }

  [Symbol.dispose](): void {
    this.#renewal?.[Symbol.dispose]();
    this.#changed.clear();
  }

  async #renew(): Promise<void> {
    const { clock, logger } = this.#options;
    try {
      const { credentials, expires } = await issued(this.#options);
      this.#current = credentials;
      for (const callback of this.#changed) callback();
      this.#schedule((expires - clock.now()) / 2);
    } catch (error) {
      logger.error("the control plane's certificate was not renewed", { error: messageOf(error) });
      this.#schedule(againMs);
    }
  }

  #schedule(afterMs: number): void {
    this.#renewal?.[Symbol.dispose]();
    this.#renewal = this.#options.clock.after(afterMs, () => this.renew());
  }
}

async function issued({ signer, roots, names }: ServerCertificateOptions): Promise<{
  readonly credentials: ServerCredentials;
  readonly expires: number;
}> {
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const { chain, expires } = await signer.issue({ csr: makeSigningRequest(keys), names, ttlMs: lifetimeMs });
  const key = keys.privateKey.export({ type: "pkcs8", format: "pem" });
  return { credentials: { certificate: chain.join(""), key, roots: [roots()] }, expires };
}
