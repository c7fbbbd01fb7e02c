import type { User } from "../user.ts";
import type { Attributes } from "./attributes.ts";

/** The user that the mesh's control plane is. */
export const discoveryUser = "system:weft:discovery";

/** A Pod's port at which Istio and Weft have the administration of its proxy. */
const administration = /^[^:]+:15000$/;

/**
 * Whether the control plane needs something that roles cannot say: it reads the administration pages of proxies, and `get` on
 * `pods/proxy` in a role would let it read every port of every Pod, since roles know whole names alone.
 */
export function controlPlaneMay(user: User, attributes: Attributes): boolean {
  if (user.name !== discoveryUser || attributes.kind !== "resource") return false;
  const { verb, group, resource, subresource, name } = attributes;
  const proxied = group === "" && resource === "pods" && subresource === "proxy";
  return verb === "get" && proxied && administration.test(name);
}
