import { codeOf, WeftError } from "#base/errors.ts";
import type { Admit } from "./gatekeeper.ts";
import type { ProxyNode } from "./port.ts";
import type { Readable } from "./restraint.ts";

/** What happens to the stream that is judged. */
export interface AdmissionPort extends Readable {
  /** It is that of this proxy. */
  readonly admitted: (node: ProxyNode) => void;
  /** It may not begin, or not go on. */
  readonly refused: (reason: unknown) => void;
}

/** Codes by which a stream is ended that has begun: not because somebody who must be asked does not answer. */
const ending: ReadonlySet<string> = new Set(["PermissionDenied", "Unauthenticated"]);

/** Whether one stream may be that of the proxy that it says it is. */
export class Admission {
  readonly #admit: Admit | undefined;
  readonly #port: AdmissionPort;
  #claimed: ProxyNode | undefined;
  #admitted: ProxyNode | undefined;

  /** @param admit decides; without it everybody is let in. */
  constructor(admit: Admit | undefined, port: AdmissionPort) {
    this.#admit = admit;
    this.#port = port;
  }

  /** Judges what a stream says at its beginning. Nothing more is read from it until that is decided. */
  begin(claimed: ProxyNode): void {
    if (this.#admit) void this.#decide(this.#admit, claimed);
    else this.#port.admitted(claimed);
  }

  /** Judges a stream that has begun: its Pod may be gone, its certificate or token over, its rights others. */
  async again(): Promise<void> {
    const [before, claimed] = [this.#admitted, this.#claimed];
    if (!this.#admit || !before || !claimed) return;
    try {
      const { withoutSecrets } = await this.#admit(claimed);
      if (withoutSecrets === before.withoutSecrets) return;
      this.#port.refused(new WeftError("Unavailable", "which Secrets the proxy may read has changed: come back"));
    } catch (fault) {
      if (ending.has(codeOf(fault))) this.#port.refused(fault);
    }
  }

  async #decide(admit: Admit, claimed: ProxyNode): Promise<void> {
    this.#port.pause();
    try {
      const node = await admit(claimed);
      [this.#claimed, this.#admitted] = [claimed, node];
      this.#port.resume();
      this.#port.admitted(node);
    } catch (fault) {
      this.#port.refused(fault);
    }
  }
}
