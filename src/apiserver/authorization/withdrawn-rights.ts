import type { Access } from "../access.ts";
import type { Controller } from "../collector/controller.ts";
import { rbacResources } from "./rbac.ts";

/** Ends an endpoint's watches when the right to them is withdrawn. Each server does this for its own, whichever does the rest. */
export class WithdrawnRights implements Controller {
  readonly name = "withdrawn-rights";
  readonly resources = rbacResources;
  readonly #access: Pick<Access, "watches">;

  constructor(access: Pick<Access, "watches">) {
    this.#access = access;
  }

  due(): readonly string[] {
    return ["watches"];
  }

  async work(): Promise<void> {
    await this.#access.watches.check();
  }
}
