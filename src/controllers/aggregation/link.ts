import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { frontProxyConfigMap, readFrontProxyTrust, type FrontProxyTrust } from "#api/front-proxy.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { answerMs, namespaceStateOf } from "./namespace-state.ts";

/** How a member cluster is asked what the mesh's API must know of it. */
export interface LinkOptions {
  /** The member's id. */
  readonly name: string;
  /** The member's API, as an account with the rights of `memberObjects`. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Kubernetes' `authorization/v1.SubjectAccessReview`, as far as its answer is read. */
interface Review {
  readonly status?: { readonly allowed?: boolean; readonly reason?: string; readonly evaluationError?: string };
}

/** What the mesh's API asks of one member: whom to believe, who may do what, and which namespaces there are. */
export class MemberLink {
  readonly name: string;
  readonly #client: Client;
  readonly #logger: Logger;
  readonly #informer: Informer<ConfigMap>;
  #trust: FrontProxyTrust | undefined;

  constructor({ name, client, clock, logger }: LinkOptions) {
    this.name = name;
    this.#client = client;
    this.#logger = logger.with({ cluster: name });
    const { namespace, name: configName } = frontProxyConfigMap;
    const selection = { namespace, fieldSelector: `metadata.name=${configName}` };
    this.#informer = new Informer({ client: client.of<ConfigMap>(configMap), selection, clock, logger: this.#logger });
  }

  /** Follows what the member trusts, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    using _following = this.#informer.onChange(({ after }) => this.#read(after));
    await this.#informer.run(signal);
  }

  /** By what the member's API server shows itself; undefined until that was read. */
  trust(): FrontProxyTrust | undefined {
    return this.#trust;
  }

  /** How the member has a namespace now. @throws WeftError when it cannot be asked. */
  async namespace(name: string): Promise<"absent" | "terminating" | "active"> {
    return namespaceStateOf(this.#client, name);
  }

  /** Asks the member whether somebody may do something there. @throws WeftError when it cannot be asked. */
  async review(spec: object): Promise<{ readonly allowed: boolean; readonly reason: string }> {
    const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
    const { status } = await this.#client.json<Review>({ method: "POST", path, body, timeoutMs: answerMs });
    return { allowed: status?.allowed === true, reason: status?.evaluationError ?? status?.reason ?? "" };
  }

  #read(map: ConfigMap | undefined): void {
    const read = map === undefined ? "the ConfigMap is gone" : readFrontProxyTrust(map.data ?? {});
    if (typeof read !== "string") {
      this.#trust = read;
      return;
    }
    // What was trusted goes on to be: the cluster's API server has not changed because its ConfigMap has.
    this.#logger.warn("it cannot be read whom to believe; what was read before stays", { reason: read });
  }
}
