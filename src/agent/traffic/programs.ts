import { WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { Hijack, type HijackedPod } from "#runtime/hijack.ts";

/** The programs of a node in the kernel: attached with the first Pod that they lead, gone with the last; one change at a time. */
export class Programs {
  readonly #hijack: Hijack | undefined;
  #attached = false;
  /** Pods that this process has given to the programs as they are now. */
  readonly #current = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  readonly #logger: Logger;

  /** @param folder of the programs; without it there are none. */
  constructor(folder: string | undefined, name: string, logger: Logger) {
    this.#hijack = folder === undefined ? undefined : new Hijack(folder, name);
    this.#logger = logger;
  }

  /** Whether these programs lead a Pod, and not those of an earlier process. */
  isCurrent(cookie: string): boolean {
    return this.#current.has(cookie);
  }

  /** By what a Pod is known. */
  async cookie(network: string): Promise<string> {
    return this.#there.cookie(network);
  }

  /**
   * Leads a Pod. @param pod `live` where it is led otherwise until now: then not before its proxy listens.
   * @returns whether it is led.
   * @throws WeftError `Unsupported` where the kernel cannot.
   */
  async lead(cookie: string, pod: HijackedPod): Promise<boolean> {
    const hijack = this.#there;
    return this.#alone(async () => {
      if (!this.#attached) {
        const programs = await hijack.attach();
        this.#logger.info("programs in the kernel lead connections of Pods", { programs });
      }
      this.#attached = true;
      const led = await hijack.add(pod);
      if (led) this.#current.add(cookie);
      return led;
    });
  }

  /** Leads no new connections of a Pod. */
  async leave(cookie: string): Promise<void> {
    this.#current.delete(cookie);
    await this.#alone(async () => this.#hijack?.leave(cookie));
  }

  /** Forgets a Pod; with the last one goes all that is in the kernel. */
  async remove(cookie: string): Promise<void> {
    this.#current.delete(cookie);
    await this.#alone(async () => {
      await this.#hijack?.remove(cookie);
      this.#detachUnused();
    });
  }

  /** Forgets all Pods but these. */
  async keepOnly(cookies: readonly string[]): Promise<void> {
    const hijack = this.#hijack;
    if (!hijack) return;
    await this.#alone(async () => {
      for (const cookie of hijack.pods()) if (!cookies.includes(cookie)) await hijack.remove(cookie);
      this.#detachUnused();
    });
  }

  #detachUnused(): void {
    if (!this.#hijack || this.#hijack.pods().length > 0) return;
    this.#attached = false;
    this.#hijack.detach();
  }

  get #there(): Hijack {
    if (this.#hijack) return this.#hijack;
    throw new WeftError("Unsupported", "this agent has no eBPF programs: give it --hijack-programs");
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
