/** The thread that signs, so that what a signature costs delays no proxy's configuration. Started by `signer.ts`. */
import { parentPort } from "node:worker_threads";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import { type Authority, readAuthority } from "./authority.ts";
import { issue, type IssueRequest } from "./issue.ts";
import type { SignerReply, SignerRequest } from "./signer-protocol.ts";

/** Signs with the authority that it was told last. */
class SigningThread {
  #authority: () => Authority = () => {
    throw new WeftError("Unavailable", "the mesh's authority is not ready");
  };

  take(message: SignerRequest): SignerReply | undefined {
    if (message.kind === "issue") return this.#answer(message.request);
    try {
      const authority = readAuthority(message.files, message.now);
      this.#authority = () => authority;
    } catch (error) {
      // It was good when it was taken up: a thread that is started again finds that it has ended meanwhile.
      this.#authority = () => {
        throw new WeftError("FailedPrecondition", "the mesh's authority cannot sign any more", error);
      };
    }
    return undefined;
  }

  #answer(request: IssueRequest): SignerReply {
    try {
      return { kind: "issued", issued: issue(request, this.#authority()) };
    } catch (error) {
      return { kind: "refused", code: codeOf(error), message: messageOf(error) };
    }
  }
}

function serve(port: NonNullable<typeof parentPort>): void {
  const thread = new SigningThread();
  port.on("message", (message: SignerRequest) => {
    const reply = thread.take(message);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    if (reply) port.postMessage(reply);
  });
}

if (parentPort) serve(parentPort);
