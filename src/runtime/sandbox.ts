import { messageOf } from "#base/errors.ts";
import { command } from "./command.ts";
import { bridgeName, fabricName, hardwareAddress } from "./fabric.ts";
import { shortId } from "./names.ts";
import {
  ensureNamespace,
  inside,
  ipBatch,
  namespacePath,
  namespacesOf,
  processesIn,
  removeNamespace,
} from "./namespace.ts";

/** A Pod's network: a namespace of its own, tied to its cluster's bridge. */
export interface Sandbox {
  readonly instance: string;
  readonly cluster: string;
  /** The Pod's UID. */
  readonly pod: string;
  readonly address: string;
  /** Length of the Pod network's prefix. */
  readonly prefix: number;
  readonly gateway: string;
}

/** What names a Pod's sandbox. */
export type SandboxId = Pick<Sandbox, "instance" | "pod">;

/** The name of a Pod's network namespace. */
export function sandboxName(id: SandboxId): string {
  return `weft-${id.instance}-${shortId(id.pod)}`;
}

function hostEnd(pod: string): string {
  return `v${shortId(pod)}`;
}

/**
 * Makes a Pod's network: loopback, one interface `eth0` with the Pod's address, a default route over the bridge. IPv6 has no
 * addresses beyond the link's own. Whatever an earlier attempt left under the same name is replaced.
 */
export async function createSandbox(sandbox: Sandbox): Promise<void> {
  const name = sandboxName(sandbox);
  const fabric = fabricName(sandbox.instance);
  await removeSandbox(sandbox);
  await ensureNamespace(name);
  const end = hostEnd(sandbox.pod);
  await ipBatch(fabric, [
    `link add ${end} type veth peer name eth0 address ${hardwareAddress(sandbox.address)} netns ${name}`,
    `link set ${end} master ${bridgeName(sandbox.cluster)} up`,
  ]);
  await ipBatch(name, [
    `address add ${sandbox.address}/${sandbox.prefix} dev eth0`,
    "link set eth0 up",
    `route add default via ${sandbox.gateway}`,
  ]);
  // Container runtimes do the same: a gateway listens on port 80 without being root.
  const unprivileged = "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start";
  await command(inside(namespacePath(name), ["sh", "-c", unprivileged]));
}

/** Removes a Pod's network; nothing left of it is no error. Its processes should have ended before. */
export async function removeSandbox(id: SandboxId): Promise<void> {
  // A namespace lives on while anything holds it; the interface would keep its address until then.
  await ipBatch(fabricName(id.instance), [`link delete ${hostEnd(id.pod)}`]).catch((error: unknown) => {
    if (!/Cannot find device|Cannot open network namespace/.test(messageOf(error))) throw error;
  });
  await removeNamespace(sandboxName(id));
}

/** Names of all Pod namespaces of an instance, known or left over. */
export function sandboxesOf(instance: string): readonly string[] {
  return namespacesOf(`weft-${instance}-`).filter((name) =>
    /^[0-9a-f]{10}$/.test(name.slice(`weft-${instance}-`.length)),
  );
}

/** Rounds of killing: processes may start others while they are being killed. */
const killRounds = 5;

/** Kills whatever still runs in a Pod's namespace. Only Weft starts processes there. */
export function killSandbox(name: string): void {
  for (let round = 0; round < killRounds; round += 1) {
    const found = processesIn(name);
    if (found.length === 0) return;
    for (const pid of found) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended meanwhile.
      }
    }
  }
}
