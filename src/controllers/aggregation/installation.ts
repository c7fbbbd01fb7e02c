import { deployment } from "#api/kubernetes/deployment.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { configMap } from "#api/kubernetes/config-map.ts";
import { clusterRole, clusterRoleBinding, role, roleBinding } from "#api/kubernetes/rbac.ts";
import { service } from "#api/kubernetes/service.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { departedConfigMap } from "./departed.ts";
import { memberLabels, type MemberObject } from "./objects.ts";
import { OwnedObjects, removed } from "./owned-objects.ts";

/** Kubernetes' `apiregistration.k8s.io/v1.APIService`: which server answers for a group and version. */
export const apiServiceKind: KindRef = {
  group: "apiregistration.k8s.io",
  kind: "APIService",
  plural: "apiservices",
  namespaced: false,
  versions: [{ name: "v1" }],
};

/** Kubernetes' `apiextensions.k8s.io/v1.CustomResourceDefinition`. */
export const definitionKind: KindRef = {
  group: "apiextensions.k8s.io",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
  versions: [{ name: "v1" }],
};

/** Kinds of what a member has of the mesh's API, in the order in which they are removed. */
const ownKinds: readonly KindRef[] = [
  deployment,
  apiServiceKind,
  endpointSlice,
  service,
  roleBinding,
  role,
  clusterRoleBinding,
  clusterRole,
  serviceAccount,
];

/** Milliseconds between looks. */
const lookMs = 200;

/** An `APIService`, as far as it is read. */
interface ApiService extends ResourceObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

/** What a member has so that its API server serves the mesh's objects. Everything may be done again. */
export class Installation {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #objects: OwnedObjects;

  /** @param client the member's API, as an administrator of it. */
  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    this.#objects = new OwnedObjects(client, { labels: memberLabels, kinds: ownKinds });
  }

  /** Makes objects in their order. @throws WeftError `FailedPrecondition` where something of the name is not ours. */
  async make(objects: readonly MemberObject[]): Promise<void> {
    await this.#objects.make(objects);
  }

  /**
   * Waits until the cluster's API server finds the mesh's API behind all of its APIServices.
   * @throws WeftError `DeadlineExceeded` with what it says of one that it does not find.
   */
  async becomesAvailable(limitMs: number, told: (text: string) => void, signal: AbortSignal): Promise<void> {
    const until = this.#clock.monotonic() + limitMs;
    for (let last = ""; ;) {
      const away = await this.unavailable(signal);
      if (away === undefined) return;
      if (away !== last) told(away);
      last = away;
      if (this.#clock.monotonic() > until) {
        throw new WeftError(
          "DeadlineExceeded",
          `the cluster's API server does not reach the mesh's API after ${limitMs / 1000} s (${away}): see to it that it reaches weft server's --members-address, and say by --members-address how`,
        );
      }
      await this.#clock.sleep(lookMs, signal);
    }
  }

  /** Removes all of it, whatever made it. */
  async remove(): Promise<void> {
    await this.#objects.remove();
    await removed(this.#client, configMap, { name: departedConfigMap });
  }

  /** Which of the APIServices does not find the mesh's API, and why; undefined where all do. */
  async unavailable(signal?: AbortSignal): Promise<string | undefined> {
    const items = await this.#objects.list<ApiService>(apiServiceKind, signal);
    if (items.length === 0) return "it has no APIService of the mesh";
    for (const { metadata, status } of items) {
      const found = status?.conditions?.find(({ type }) => type === "Available");
      if (found?.status !== "True") return `${metadata.name}: ${found?.message ?? "nothing is known of it yet"}`;
    }
    return undefined;
  }
}
