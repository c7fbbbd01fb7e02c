import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import { authorityVersion } from "#api/kubernetes/proxy-trust.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { readCertificates } from "#identity/authority.ts";

/**
 * The ConfigMap in which the mesh's authority publishes its roots, as Istio does, and their key in it; lists of revoked certificates have
 * another.
 */
export const rootsConfigMap = { name: "istio-ca-root-cert", key: "root-cert.pem", revokedKey: "ca-crl.pem" } as const;

/**
 * The authorities that the node's proxies check their peers by: those that the mesh publishes, and beside them those that the latest
 * certificate came with. So a replica of the control plane that has not heard of a new root takes it away from nobody.
 */
export class TrustBundle {
  readonly #logger: Logger;
  readonly #changed: () => void;
  #published: readonly string[] = [];
  #version = "";
  #roots: readonly string[] = [];
  #revoked = "";

  /** @param changed called when the roots are others. */
  constructor(logger: Logger, changed: () => void) {
    this.#logger = logger;
    this.#changed = changed;
  }

  /** The roots in PEM; none before the first word. */
  get roots(): readonly string[] {
    return this.#roots;
  }

  /** The published lists of revoked certificates, in PEM; empty for none. */
  get revoked(): string {
    return this.#revoked;
  }

  /** The version of the mesh's authority that was published last; empty for none. */
  get version(): string {
    return this.#version;
  }

  /** Whether other roots are published than these, or in another order: who sent these does not know what is published. */
  differs(roots: readonly string[]): boolean {
    return this.#published.length > 0 && roots.join("") !== this.#published.join("");
  }

  /** Takes roots that came with a certificate. */
  take(roots: readonly string[]): void {
    this.#set([...new Set([...this.#published, ...roots])]);
  }

  /** Takes what is published, and nothing else any more, unless it cannot be read: then what is known stands. */
  published(map: ConfigMap): void {
    try {
      const roots = readCertificates(map.data?.[rootsConfigMap.key] ?? "", rootsConfigMap.key);
      if (roots.length === 0) return;
      const version = map.metadata.annotations?.[authorityVersion] ?? "";
      const newer = version !== this.#version;
      this.#version = version;
      this.#published = roots.map(String);
      this.#revoked = map.data?.[rootsConfigMap.revokedKey] ?? "";
      if (!this.#set(this.#published) && newer) this.#changed();
    } catch (error) {
      this.#logger.warn("the mesh's roots are published in a form that cannot be read", { error: messageOf(error) });
    }
  }

  #set(roots: readonly string[]): boolean {
    if (roots.join("") === this.#roots.join("")) return false;
    this.#roots = roots;
    this.#changed();
    return true;
  }
}
