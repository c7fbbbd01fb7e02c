import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import { frameHead } from "./frames.ts";
import type { Call, Method } from "./server.ts";

/** How one request is answered by one message. */
export interface UnaryOptions<Request> {
  readonly clock: Clock;
  /** Bytes of a request. */
  readonly mostBytes: number;
  /** Milliseconds that a request may take to arrive. */
  readonly arrivalMs?: number;
  /** Decodes a request, whose bytes are only lent. */
  readonly read: (bytes: Buffer) => Request;
  /** The answer's bytes. What it throws becomes the status. */
  readonly answer: (request: Request, call: Call) => Promise<Uint8Array>;
}

function decoded<Request>(read: (bytes: Buffer) => Request, bytes: Buffer): Request {
  try {
    return read(bytes);
  } catch (fault) {
    throw new WeftError("InvalidArgument", "the request cannot be decoded", fault);
  }
}

/** One call of a method. */
class UnaryCall<Request> {
  readonly #options: UnaryOptions<Request>;
  readonly #call: Call;
  readonly #limit: Disposable;
  #requests: Request[] = [];
  #done = false;

  constructor(options: UnaryOptions<Request>, call: Call) {
    const { clock, arrivalMs = 10_000, mostBytes } = options;
    this.#options = options;
    this.#call = call;
    const late = new WeftError("DeadlineExceeded", `the request did not arrive within ${arrivalMs} ms`);
    this.#limit = clock.after(arrivalMs, () => this.#arrived(late));
    call.stream.follow(mostBytes, {
      message: (bytes) => this.#requests.push(decoded(options.read, bytes)),
      held: () => undefined,
      end: (reason) => this.#arrived(reason),
    });
  }

  #arrived(reason: WeftError | undefined): void {
    if (this.#done) return;
    this.#done = true;
    this.#limit[Symbol.dispose]();
    const [request, another] = this.#requests;
    this.#requests = [];
    if (reason) this.#call.stream.end(reason);
    else if (request === undefined || another !== undefined) {
      this.#call.stream.end(new WeftError("InvalidArgument", "the method takes one request, no more and no less"));
    } else void this.#answer(request);
  }

  async #answer(request: Request): Promise<void> {
    const { stream } = this.#call;
    try {
      const answer = await this.#options.answer(request, this.#call);
      stream.send([{ pieces: [frameHead(answer.length), answer] }], () => undefined);
      stream.end();
    } catch (fault) {
      stream.end(fault instanceof WeftError ? fault : new WeftError(codeOf(fault), messageOf(fault), fault));
    }
  }
}

/** A method that answers one request by one message. */
export function unary<Request>(options: UnaryOptions<Request>): Method {
  return (call) => void new UnaryCall(options, call);
}
