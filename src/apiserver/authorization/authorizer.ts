import type { Partition, ResourceStore } from "#store/port.ts";
import { group, type User } from "../user.ts";
import { refusal, type Attributes } from "./attributes.ts";
import { controlPlaneMay } from "./control-plane-rights.ts";
import { nodeMay } from "./node-rights.ts";
import { nodeOf } from "./node-restriction.ts";
import { Rbac, type Decision } from "./rbac.ts";

/**
 * Decides who may do what at one endpoint: administrators everything, nodes and the control plane what they need, others what
 * roles allow.
 */
export class Authorizer {
  readonly rbac: Rbac;
  readonly #store: ResourceStore;
  readonly #partition: Partition;

  constructor(store: ResourceStore, partition: Partition) {
    this.rbac = new Rbac(store, partition);
    this.#store = store;
    this.#partition = partition;
  }

  /** Whether somebody may do something, and why. */
  async authorize(user: User, attributes: Attributes): Promise<Decision> {
    if (user.groups.includes(group.masters)) return { allowed: true, reason: "" };
    const node = nodeOf(user);
    if (node !== undefined && attributes.kind === "resource") {
      const objects = { store: this.#store, partition: this.#partition };
      if (await nodeMay(node, attributes, objects)) return { allowed: true, reason: `node "${node}" needs it` };
    }
    if (controlPlaneMay(user, attributes)) return { allowed: true, reason: "the control plane needs it" };
    return this.rbac.authorize(user, attributes);
  }

  /** @throws ApiError `Forbidden` unless somebody may do something. */
  async require(user: User, attributes: Attributes): Promise<void> {
    const { allowed, reason } = await this.authorize(user, attributes);
    if (!allowed) throw refusal(user, attributes, reason);
  }
}
