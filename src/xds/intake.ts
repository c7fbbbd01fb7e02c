import type { WeftError } from "#base/errors.ts";
import { unfinished } from "./misconduct.ts";

/** Who sends a request. */
interface Sender {
  end(reason: WeftError): void;
}

/**
 * Bounds what waits for the rest of its request, over all streams: each may begin a long one and never end it. Where it is
 * too much, the stream with the longest goes.
 */
export class Intake {
  readonly #mostBytes: number;
  readonly #unfinished = new Map<Sender, number>();
  #bytes = 0;

  /** @param mostBytes of all together. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** So many bytes of a stream wait now. */
  holds(sender: Sender, bytes: number): void {
    this.#bytes += bytes - (this.#unfinished.get(sender) ?? 0);
    if (bytes > 0) this.#unfinished.set(sender, bytes);
    else this.#unfinished.delete(sender);
    while (this.#bytes > this.#mostBytes) this.#dropLongest();
  }

  #dropLongest(): void {
    const [longest] = [...this.#unfinished].toSorted(([, a], [, b]) => b - a);
    if (!longest) return;
    const [sender, bytes] = longest;
    this.holds(sender, 0);
    sender.end(unfinished(bytes));
  }
}
