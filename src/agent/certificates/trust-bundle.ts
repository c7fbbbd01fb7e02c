import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { readCertificates } from "#identity/authority.ts";

/** The ConfigMap in which the mesh's authority publishes its roots, as Istio does, and their key in it. */
export const rootsConfigMap = { name: "istio-ca-root-cert", key: "root-cert.pem" } as const;

/**
 * The authorities that the node's proxies check their peers by. Each certificate comes with them, and the authority publishes them:
 * the latest word holds, so that roots that come or go are taken up before certificates are replaced.
 */
export class TrustBundle {
  readonly #logger: Logger;
  readonly #changed: () => void;
  #roots: readonly string[] = [];

  /** @param changed called when the roots are others. */
  constructor(logger: Logger, changed: () => void) {
    this.#logger = logger;
    this.#changed = changed;
  }

  /** The roots in PEM; none before the first word. */
  get roots(): readonly string[] {
    return this.#roots;
  }

  /** Takes roots that came with a certificate. */
  take(roots: readonly string[]): void {
    if (roots.join("") === this.#roots.join("")) return;
    this.#roots = roots;
    this.#changed();
  }

  /** Takes what is published, unless it cannot be read: then what is known stands. */
  published(map: ConfigMap): void {
    try {
      const roots = readCertificates(map.data?.[rootsConfigMap.key] ?? "", rootsConfigMap.key);
      if (roots.length > 0) this.take(roots.map(String));
    } catch (error) {
      this.#logger.warn("the mesh's roots are published in a form that cannot be read", { error: messageOf(error) });
    }
  }
}
