import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { namespacePath } from "#runtime/namespace.ts";
import { fabricName } from "#runtime/fabric.ts";
import { type DemoCluster, type DemoPorts, type Layout, demoClusters } from "./layout.ts";
import { flagArgs, type ServiceSpec, weftService } from "../service.ts";

const root = join(import.meta.dirname, "..", "..", "..");

function weft(layout: Layout, name: string, args: readonly string[]): ServiceSpec {
  return weftService(name, args, join(layout.logs, `${name}.log`));
}

/** Loopback port of an endpoint of the API: the mesh's, then the clusters' in order. */
export function apiPort(ports: DemoPorts, endpoint: string): number {
  return ports.api + 1 + demoClusters.findIndex((cluster) => cluster.name === endpoint);
}

/** The API server and the clusters' controllers. */
export function serverSpec(layout: Layout, ports: DemoPorts): ServiceSpec {
  const embedded = demoClusters.flatMap(({ name, podRange, serviceRange }) => [
    "--embedded",
    `${name},pods=${podRange},services=${serviceRange},port=${apiPort(ports, name)}`,
  ]);
  return weft(layout, "server", [
    "server",
    "--secure",
    ...flagArgs({
      store: layout.store,
      "encryption-keys": layout.encryptionKeys,
      "history-days": "7",
      "run-dir": layout.run,
      "state-dir": layout.apiState,
      "mesh-port": String(apiPort(ports, "mesh")),
    }),
    ...embedded,
  ]);
}

/** The control plane. */
export function discoverySpec(layout: Layout): ServiceSpec {
  return weft(layout, "discovery", [
    "discovery",
    ...flagArgs({
      "mesh-api": layout.ownKubeconfig("discovery", "mesh"),
      "tls-socket": layout.adsSocket,
      "status-socket": layout.discoverySocket,
    }),
    ...demoClusters.flatMap(({ name }) => ["--cluster-api", `${name}=${layout.ownKubeconfig("discovery", name)}`]),
  ]);
}

/** Says where the kernel's programs are, where they have been compiled. */
const bpf = join(root, "build", "bpf.path");

/** A node's agent. It lives in the fabric, and finds the host's network namespace as its file 3. */
export function agentSpec(
  layout: Layout,
  cluster: DemoCluster,
  node: string,
  hostNetwork: number,
  envoy: string,
): ServiceSpec {
  const { command, args, ...spec } = weft(layout, `agent-${node}`, [
    "agent",
    "--xds-tls",
    ...flagArgs({
      instance: layout.name,
      cluster: cluster.name,
      node,
      region: cluster.region,
      zone: cluster.zone,
      network: cluster.network,
      "state-dir": join(layout.state, "agents", node),
      "run-dir": layout.run,
      api: layout.ownKubeconfig(node, cluster.name),
      xds: `unix:${layout.adsSocket}`,
      ca: `unix:${layout.adsSocket}`,
      "host-network-fd": "3",
      programs: join(root, "samples", "programs.json"),
      envoy,
      ...(existsSync(bpf) && { "hijack-programs": readFileSync(bpf, "utf8").trim() }),
    }),
  ]);
  const fabric = namespacePath(fabricName(layout.name));
  return { ...spec, command: "nsenter", args: [`--net=${fabric}`, "--", command, ...args], files: [hostNetwork] };
}

/** The load on the gateway; writes a line of JSON a second. */
export function loadSpec(layout: Layout, url: string, rps: number, onLine: (line: string) => void): ServiceSpec {
  const args = [join(root, "samples", "load", "load.ts"), "--url", url, "--rps", String(rps), "--concurrency", "200"];
  return { name: "load", command: process.execPath, args, logFile: join(layout.logs, "load.log"), onLine };
}
