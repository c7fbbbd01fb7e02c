import { Worker } from "node:worker_threads";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { type Authority, type AuthorityFiles, readAuthority } from "./authority.ts";
import type { Issued, IssueRequest } from "./issue.ts";
import type { SignerReply, SignerRequest } from "./signer-protocol.ts";

/** Requests that may wait for the thread, which does some hundred in a second. */
const mostWaiting = 1000;

interface Waiting {
  readonly resolve: (issued: Issued) => void;
  readonly reject: (error: WeftError) => void;
}

/** A thread with its requests, answered in order. */
interface Thread {
  readonly worker: Worker;
  readonly waiting: Waiting[];
}

/** Signs with the mesh's authority, in a thread of its own, which is started again when it ends. */
export class Signer implements AsyncDisposable {
  readonly #clock: Clock;
  #files: AuthorityFiles | undefined;
  #thread: Thread | undefined;
  #disposed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Signs with an authority from now on.
   * @throws WeftError `InvalidArgument` for one that cannot sign; the one before stays.
   */
  use(files: AuthorityFiles): Authority {
    const authority = readAuthority(files, this.#clock.now());
    this.#files = files;
    if (this.#thread) this.#tell(this.#thread);
    return authority;
  }

  /**
   * Makes a certificate.
   * @throws WeftError as `issue`; `Unavailable` without an authority, `ResourceExhausted` while too many wait.
   */
  issue(request: Omit<IssueRequest, "now">): Promise<Issued> {
    if (!this.#files || this.#disposed) {
      return Promise.reject(new WeftError("Unavailable", "the mesh's authority is not ready"));
    }
    const thread = (this.#thread ??= this.#start());
    if (thread.waiting.length >= mostWaiting) {
      return Promise.reject(new WeftError("ResourceExhausted", "too many certificates are asked for; try again later"));
    }
    return new Promise((resolve, reject) => {
      thread.waiting.push({ resolve, reject });
      this.#send(thread, { kind: "issue", request: { ...request, now: this.#clock.now() } });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const thread = this.#thread;
    if (thread) await thread.worker.terminate();
  }

  #start(): Thread {
    const worker = new Worker(new URL("signer-worker.ts", import.meta.url));
    // A thread that waits for work must not keep the process.
    worker.unref();
    const thread: Thread = { worker, waiting: [] };
    worker.on("message", (reply: SignerReply) => settle(thread.waiting.shift(), reply));
    worker.on("error", (error) => this.#lost(thread, error));
    worker.on("exit", () => this.#lost(thread, new Error("it ended")));
    this.#tell(thread);
    return thread;
  }

  #tell(thread: Thread): void {
    if (this.#files) this.#send(thread, { kind: "authority", files: this.#files, now: this.#clock.now() });
  }

  #send({ worker }: Thread, message: SignerRequest): void {
    // A worker's thread has no origin; the rule means a browser's windows.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    worker.postMessage(message);
  }

  #lost(thread: Thread, cause: unknown): void {
    if (this.#thread === thread) this.#thread = undefined;
    const error = new WeftError("Unavailable", "the signing thread is gone", cause);
    for (const { reject } of thread.waiting.splice(0)) reject(error);
  }
}

function settle(waiting: Waiting | undefined, reply: SignerReply): void {
  if (reply.kind === "issued") waiting?.resolve(reply.issued);
  else waiting?.reject(new WeftError(reply.code, reply.message));
}
