import { ControlPlane, type ControlPlaneOptions } from "./control-plane.ts";

/** The control planes of a mesh's revisions, by their addresses. */
export class ControlPlanes {
  readonly #options: Omit<ControlPlaneOptions, "address">;
  readonly #known = new Map<string, ControlPlane>();

  constructor(options: Omit<ControlPlaneOptions, "address">) {
    this.#options = options;
  }

  /** The control plane at an address. There are as many as the mesh has had revisions. */
  at(address: string): ControlPlane {
    const known = this.#known.get(address) ?? new ControlPlane({ ...this.#options, address });
    this.#known.set(address, known);
    return known;
  }
}
