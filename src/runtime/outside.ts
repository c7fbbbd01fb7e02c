import { fabricName } from "./fabric.ts";
import { ensureNamespace, ipBatch } from "./namespace.ts";

/** The link between the fabric and what is outside; of addresses that are for documentation alone (RFC 5737). */
const link = { fabric: "203.0.113.1", outside: "203.0.113.2", prefix: 30 };

/** The network namespace of an instance from which strangers to its mesh call. */
export function outsideName(instance: string): string {
  return `weft-${instance}-outside`;
}

/**
 * Makes a network namespace that reaches every Pod of an instance over its fabric, which must be there, and is no Pod itself: nothing
 * captures its traffic, and it has no identity.
 */
export async function createOutside(instance: string): Promise<void> {
  const name = outsideName(instance);
  await ensureNamespace(name);
  const fabric = fabricName(instance);
  await ipBatch(fabric, [
    `link add outside type veth peer name eth0 netns ${name}`,
    `address add ${link.fabric}/${link.prefix} dev outside`,
    "link set outside up",
  ]);
  await ipBatch(name, [
    `address add ${link.outside}/${link.prefix} dev eth0`,
    "link set eth0 up",
    `route add default via ${link.fabric}`,
  ]);
}
