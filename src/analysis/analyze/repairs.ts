import type { MeshObjects } from "./mesh-objects.ts";
import type { Problem } from "./message.ts";

/** Problems with hints and repairs, where what was meant can be told. */
export function repaired(problems: readonly Problem[], _objects: MeshObjects): readonly Problem[] {
  return problems;
}
