import { readFileSync } from "node:fs";
import { node as nodeKind } from "#api/kubernetes/node.ts";
import type { Node } from "#api/kubernetes/node.ts";
import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import { writeWhole } from "./records.ts";

/** The service account that node agents act as, which the control plane knows. */
export const agentAccount = { namespace: "istio-system", name: "weft-agent" } as const;

/** What the token is for, as Istio's. */
const audience = "istio-ca";
/** How long a token is asked for, and the part of its life after which another is. */
const seconds = 3600;
const renewAt = 0.6;

/** Where the token is kept and what it is bound to. */
export interface NodeTokenOptions {
  /** The node's name. */
  readonly node: string;
  /** The file that it is written to; in a folder that does not outlive the machine's run. */
  readonly file: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface TokenRequest {
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

/** When a token ends, in milliseconds since the epoch; 0 where there is none that can be read. */
function endOf(file: string): number {
  try {
    const [, claims = ""] = readFileSync(file, "utf8").split(".");
    const { exp } = JSON.parse(Buffer.from(claims, "base64url").toString("utf8")) as { readonly exp?: unknown };
    return typeof exp === "number" ? exp * 1000 : 0;
  } catch {
    return 0;
  }
}

/**
 * Keeps the token by which the agent proves itself to the control plane: asked of the node's cluster, bound to the Node, so that it ends
 * with it. A later agent goes on with the one that is there, while the cluster's API is away.
 */
export class NodeToken {
  readonly #options: NodeTokenOptions;

  constructor(options: NodeTokenOptions) {
    this.#options = options;
  }

  /** Keeps the token good until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, file, logger } = this.#options;
    const backoff = new Backoff({ initialMs: 100, maxMs: 10_000 });
    // An earlier agent's may be of a cluster that is no more.
    let due = true;
    while (!signal.aborted) {
      let wait = due ? 0 : endOf(file) - clock.now() - (1 - renewAt) * seconds * 1000;
      if (wait <= 0) {
        try {
          await this.#ask(signal);
          backoff.reset();
          due = false;
          continue;
        } catch (error) {
          if (signal.aborted) return;
          if (backoff.failures === 3)
            logger.warn("the agent gets no token for the control plane", { error: messageOf(error) });
          wait = backoff.next();
        }
      }
      await clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { client, node, file } = this.#options;
    const { uid } = (await client.of<Node>(nodeKind).get({ name: node }, signal)).metadata;
    const boundObjectRef = { apiVersion: "v1", kind: "Node", name: node, uid };
    const { status } = await client.json<TokenRequest>({
      method: "POST",
      path: `/api/v1/namespaces/${agentAccount.namespace}/serviceaccounts/${agentAccount.name}/token`,
      body: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences: [audience], expirationSeconds: seconds, boundObjectRef },
      },
      signal,
    });
    writeWhole(file, status.token);
  }
}
