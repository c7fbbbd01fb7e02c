import type { IncomingMessage } from "node:http";
import { WeftError } from "#base/errors.ts";
import { mostOfOne } from "#base/handshakes.ts";

/** Bounds of what is asked. */
export interface QuestionLimits {
  /** Bytes of one question. */
  readonly one: number;
  /** Bytes of all questions that are arriving, of which one address has nine tenths at the most. */
  readonly all: number;
}

/** An object of 3 MiB before and after a change, and many of them at once. */
const defaultLimits: QuestionLimits = { one: 8 * 1024 * 1024, all: 128 * 1024 * 1024 };

/** Reads questions, of which so many bytes are held at once: whoever reaches the webhooks may ask. */
export class Questions {
  readonly #limits: QuestionLimits;
  readonly #byAddress = new Map<string, number>();
  #held = 0;

  constructor(limits: QuestionLimits = defaultLimits) {
    this.#limits = limits;
  }

  /**
   * The text of a question, when all of it is there.
   * @throws WeftError `ResourceExhausted` for one that is too long, `Unavailable` where too much is held already.
   */
  async read(request: IncomingMessage): Promise<string> {
    const { remoteAddress: address = "" } = request.socket;
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        length += chunk.length;
        this.#hold(address, chunk.length);
        this.#check(address, length);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString("utf8");
    } finally {
      this.#hold(address, -length);
    }
  }

  #hold(address: string, bytes: number): void {
    this.#held += bytes;
    const count = (this.#byAddress.get(address) ?? 0) + bytes;
    if (count > 0) this.#byAddress.set(address, count);
    else this.#byAddress.delete(address);
  }

  #check(address: string, length: number): void {
    const { one, all } = this.#limits;
    if (length > one) throw new WeftError("ResourceExhausted", `the question is longer than ${one} bytes`);
    if (this.#held > all || (this.#byAddress.get(address) ?? 0) > mostOfOne(all))
      throw new WeftError("Unavailable", "too much is asked at once: ask again later");
  }
}
