import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { readCertificates } from "#identity/authority.ts";
import type { Client } from "#kube/client.ts";
import { rootsConfigMap } from "./certificates/trust-bundle.ts";
import type { ControlPlaneTrust } from "./control-plane.ts";
import type { AgentLayout } from "./layout.ts";
import { NodeToken } from "./node-token.ts";
import type { ProxyOptions } from "./options.ts";
import { writeWhole } from "./records.ts";
import { WorkloadIdentities } from "./workload-identities.ts";

/** What an agent's trust is made from. */
export interface AgentTrustContext {
  /** The API of the node's cluster. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Whether a text holds certificates. */
function isReadable(roots: string): boolean {
  try {
    return readCertificates(roots, rootsConfigMap.key).length > 0;
  } catch {
    return false;
  }
}

/**
 * How the agent and the control plane prove themselves to each other: by files that it is told of, or by what its cluster's API gives,
 * which it trusts anyway: the authorities that the mesh publishes there, and a token of its own. These are files too, so that a later
 * agent begins with them while the API is away.
 */
export class AgentTrust {
  readonly #options: ProxyOptions;
  readonly #context: AgentTrustContext;
  readonly #files: ControlPlaneTrust | undefined;
  /** Keeps the token, where nobody else does. */
  readonly #token: NodeToken | undefined;

  constructor(options: ProxyOptions, layout: AgentLayout, context: AgentTrustContext) {
    this.#options = options;
    this.#context = context;
    const { trust, node } = options;
    if (!trust) return;
    const { rootsFile = layout.roots, tokenFile = layout.token, serverName } = trust;
    this.#files = { rootsFile, tokenFile, serverName };
    if (trust.tokenFile === undefined) this.#token = new NodeToken({ node, file: tokenFile, ...context });
  }

  /** The files. @throws WeftError `InvalidArgument` when the agent is told nothing of trust. */
  get files(): ControlPlaneTrust {
    if (!this.#files) throw new WeftError("InvalidArgument", "TLS to the control plane needs the option trust");
    return this.#files;
  }

  /** The identities of the node's workloads, where they get some. */
  identities(): WorkloadIdentities | undefined {
    const { identity } = this.#options;
    const { clock, logger } = this.#context;
    return identity && new WorkloadIdentities({ identity, trust: this.files, agent: this.#options, clock, logger });
  }

  /** Takes the authorities that the mesh has published, unless the agent has a file of others. */
  published({ data = {} }: ConfigMap): void {
    const roots = data[rootsConfigMap.key] ?? "";
    if (!this.#files || this.#options.trust?.rootsFile !== undefined || !isReadable(roots)) return;
    writeWhole(this.#files.rootsFile, roots);
  }

  /** Keeps the token until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#token?.run(signal);
  }
}
