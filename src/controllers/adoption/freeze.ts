import { memberGroups } from "#api/member-api.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { type Exported, kindOf } from "./exported.ts";

const webhookKind: KindRef = {
  group: "admissionregistration.k8s.io",
  kind: "ValidatingWebhookConfiguration",
  plural: "validatingwebhookconfigurations",
  namespaced: false,
  versions: [{ name: "v1" }],
};

const name = "weft-adoption";
/** Stands in the error of whoever writes meanwhile. */
const webhook = "adoption-in-progress.mesh.weft.dev";

const lookMs = 100;
const patienceMs = 30_000;
/** For how long nothing can show that writes are refused. */
const settleMs = 2_000;

/** Keeps anybody from writing a cluster's own Istio objects while the mesh takes them over, so that none is lost. */
export class Freeze {
  readonly #client: Client;
  readonly #clock: Clock;

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Refuses writes from now on: by a webhook that nobody answers, which every version of Kubernetes has. */
  async begin(exported: Exported): Promise<void> {
    const rule = {
      apiVersions: ["*"],
      operations: ["CREATE", "UPDATE", "DELETE"],
      resources: ["*"],
      apiGroups: memberGroups,
    };
    const hook = {
      name: webhook,
      clientConfig: { url: "https://127.0.0.1:1/" },
      rules: [rule],
      failurePolicy: "Fail",
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      timeoutSeconds: 1,
    };
    const hooks = this.#client.of(webhookKind);
    if (!(await hooks.find({ name }))) await hooks.create({ metadata: { name }, webhooks: [hook] });
    await this.#holds(exported);
  }

  /** API servers learn of webhooks a little later: waits until an object cannot be changed any more. */
  async #holds({ definitions, objects }: Exported): Promise<void> {
    const [object] = objects;
    const definition = definitions.find(({ spec }) => spec.names.kind === object?.kind);
    if (!object || !definition) {
      await this.#clock.sleep(settleMs);
      return;
    }
    const kind = this.#client.of(kindOf(definition, []));
    const until = this.#clock.monotonic() + patienceMs;
    for (;;) {
      const body = { metadata: { annotations: { "mesh.weft.dev/adopting": "true" } } };
      const refusal = await kind.patch(object.metadata, { kind: "merge", body }, { dryRun: true }).catch(messageOf);
      if (typeof refusal === "string" && refusal.includes(webhook)) return;
      if (this.#clock.monotonic() > until) {
        const told = typeof refusal === "string" ? `: ${refusal}` : "";
        throw new WeftError("DeadlineExceeded", `the cluster does not keep writes off by the webhook ${name}${told}`);
      }
      await this.#clock.sleep(lookMs);
    }
  }

  /** Lets writes through again. */
  async end(): Promise<void> {
    try {
      await this.#client.of(webhookKind).delete({ name });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
    }
  }
}
