import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { codeOf } from "#base/errors.ts";
import { command } from "#runtime/command.ts";
import { probeAddress } from "#runtime/fabric.ts";
import { clearBridges, guardBridges } from "./bridge-guard.ts";

/** A port of a Pod that its kubelet asks. */
export interface ProbedPort {
  readonly address: string;
  readonly port: number;
}

const chain = "WEFT_PROBES";

interface Handler {
  readonly httpGet?: { readonly port: number | string; readonly host?: string };
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string };
  readonly grpc?: { readonly port: number };
}

/** Everything of a container that the kubelet may ask over the network. */
function handlersOf(container: Container): readonly Handler[] {
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container as Container & {
    readonly lifecycle?: { readonly postStart?: Handler; readonly preStop?: Handler };
  };
  const all = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop];
  return all.filter((each) => each !== undefined);
}

function portsOf(container: Container): readonly number[] {
  return handlersOf(container).flatMap(({ httpGet, tcpSocket, grpc }) => {
    const asked = [httpGet, tcpSocket, grpc].filter((each) => each !== undefined);
    return asked.flatMap((one) => {
      // A probe of another host is no question to the Pod.
      if ("host" in one && one.host !== undefined && one.host !== "") return [];
      if (typeof one.port === "number") return [one.port];
      const named = container.ports?.find(({ name }) => name === one.port)?.containerPort ?? Number(one.port);
      return Number.isInteger(named) ? [named] : [];
    });
  });
}

/** The ports at which the kubelet asks a Pod, each once. */
export function probedPorts(pod: Pod, address: string): readonly ProbedPort[] {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  return [...new Set(containers.flatMap(portsOf))].map((port) => ({ address, port }));
}

/** The rules of the chain, as one change. */
export function probeRules(ports: readonly ProbedPort[]): string {
  const rules = ports.map(
    ({ address, port }) =>
      `-A ${chain} -d ${address}/32 -p tcp -m tcp --dport ${port} -j SNAT --to-source ${probeAddress}`,
  );
  return ["*nat", `:${chain} - [0:0]`, ...rules, "COMMIT", ""].join("\n");
}

/** Calls the chain: for connections of the node's own programs that run as root, as the kubelet does. */
const call = ["nat", "POSTROUTING", ["-p", "tcp", "-m", "owner", "--uid-owner", "0", "-j", chain]] as const;
/** Nobody else has the address: what comes from outside with it is forged. */
const guard = ["raw", "PREROUTING", ["-s", `${probeAddress}/32`, "-j", "DROP"]] as const;

async function ensure([table, chainName, rule]: readonly [string, string, readonly string[]]): Promise<void> {
  const run = async (flag: string, ...more: readonly string[]): Promise<string> =>
    command(["iptables", "--wait", "-t", table, flag, chainName, ...more, ...rule]);
  try {
    await run("-C");
  } catch (error) {
    // The program is missing: another attempt would fail as well.
    if (codeOf(error) === "FailedPrecondition") throw error;
    await run("-I", "1");
  }
}

/**
 * The rules of the node's own network by which the kubelet's probes are known in Pods: they come from an address that only the node can
 * use. The kubelet asks the ports of a Pod's probes; nothing else gets the address.
 */
export class ProbeRules {
  readonly #ports = new Map<string, readonly ProbedPort[]>();
  #written: string | undefined;
  #writes: Promise<void> = Promise.resolve();

  /** Has the ports of a Pod passed; resolves when the rules are in force. */
  async set(uid: string, ports: readonly ProbedPort[]): Promise<void> {
    this.#ports.set(uid, ports);
    await this.#write();
  }

  /** Forgets a Pod. */
  async remove(uid: string): Promise<void> {
    if (this.#ports.delete(uid)) await this.#write();
  }

  /** Takes all rules back. */
  static async clear(): Promise<void> {
    for (const [table, chainName, rule] of [call, guard])
      await command(["iptables", "--wait", "-t", table, "-D", chainName, ...rule]).catch(() => "");
    await clearBridges(probeAddress);
    for (const flag of ["-F", "-X"]) await command(["iptables", "--wait", "-t", "nat", flag, chain]).catch(() => "");
  }

  async #write(): Promise<void> {
    const before = this.#writes;
    const turn = (async (): Promise<void> => {
      await before.catch(() => undefined);
      const rules = probeRules([...this.#ports.values()].flat());
      if (rules === this.#written) return;
      const first = this.#written === undefined;
      // The guard stands before any connection can have the address.
      if (first) await Promise.all([ensure(guard), guardBridges(probeAddress)]);
      await command(["iptables-restore", "--noflush", "--wait"], { input: rules });
      if (first) await ensure(call);
      this.#written = rules;
    })();
    this.#writes = turn;
    await turn;
  }
}
