import type { NodeInfo } from "../proxy-class.ts";
import { type ProxyResources, resourcesOf } from "../proxy-resources.ts";
import type { TestMesh } from "./mesh.ts";

/** Whether something that a proxy gets is put down to an EnvoyFilter. */
export function isPatched({ translator }: TestMesh, node: NodeInfo): boolean {
  const all = Object.values(resourcesOf(translator, node)) as readonly ProxyResources["cluster"][];
  return all
    .flatMap((each) => [...each.values()])
    .some(({ typeUrl, name }) => translator.origins(node, typeUrl, name).some(({ kind }) => kind === "EnvoyFilter"));
}
