import { WeftError } from "#base/errors.ts";

/** Bytes that stand before each message of gRPC: whether it is compressed, and its length. */
export const headBytes = 5;

const compressed = "sent a compressed message, or bytes that are none of gRPC; messages must not be compressed";

const none = Buffer.alloc(0);

/** The head of a message that is not compressed. */
export function frameHead(length: number): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(length, 1);
  return head;
}

/**
 * Cuts what a gRPC stream carries into messages. What came of a message that is not complete is copied together, so
 * that a peer which sends it in small pieces costs no more memory than twice what it sent.
 */
export class FrameReader {
  readonly #mostBytes: number;
  readonly #each: (message: Buffer) => void;
  /** Room for an incomplete message, of which `#size` bytes are there and `#wanted` must be to go on. */
  #held = none;
  #size = 0;
  #wanted = headBytes;

  /**
   * @param mostBytes of one message.
   * @param each gets each message; the bytes are only lent.
   */
  constructor(mostBytes: number, each: (message: Buffer) => void) {
    this.#mostBytes = mostBytes;
    this.#each = each;
  }

  /** Bytes of a message that is not complete. */
  get held(): number {
    return this.#size;
  }

  /**
   * Takes in what came next.
   * @throws WeftError `ResourceExhausted` for a message that is too long, `Unsupported` for one that is compressed.
   */
  take(chunk: Buffer): void {
    if (this.#size > 0) {
      this.#hold(chunk);
      if (this.#size < this.#wanted) return;
    }
    const bytes = this.#size > 0 ? this.#held.subarray(0, this.#size) : chunk;
    this.#held = none;
    this.#size = 0;
    const rest = bytes.subarray(this.#cut(bytes));
    if (rest.length > 0) this.#hold(rest);
  }

  /** Hands on the messages that are complete. Returns where the first that is not begins. */
  #cut(bytes: Buffer): number {
    for (let at = 0; ;) {
      this.#wanted = this.#frameAt(bytes, at);
      if (bytes.length - at < this.#wanted) return at;
      this.#each(bytes.subarray(at + headBytes, at + this.#wanted));
      at += this.#wanted;
    }
  }

  /** Bytes of the message that begins at a place, with its head, as far as they are known. */
  #frameAt(bytes: Buffer, at: number): number {
    if (bytes.length - at < headBytes) return headBytes;
    if (bytes[at] !== 0) throw new WeftError("Unsupported", compressed);
    const length = bytes.readUInt32BE(at + 1);
    if (length > this.#mostBytes) {
      throw new WeftError("ResourceExhausted", `sent a request of ${length} bytes; the limit is ${this.#mostBytes}`);
    }
    return headBytes + length;
  }

  #hold(chunk: Buffer): void {
    const size = this.#size + chunk.length;
    if (size > this.#held.length) {
      const room = Buffer.allocUnsafeSlow(2 * size);
      this.#held.copy(room, 0, 0, this.#size);
      this.#held = room;
    }
    chunk.copy(this.#held, this.#size);
    this.#size = size;
  }
}
