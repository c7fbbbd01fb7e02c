import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { systemClock } from "#base/clock.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { type DemoPorts, type Layout, demoClusters, endpoints, shopNamespace } from "./layout.ts";
import { apiPort } from "./services.ts";

/** Days for which a credential is good. Each start makes new ones. */
const days = 365;

interface Holder {
  readonly file: string;
  readonly endpoint: string;
  readonly server: string;
  readonly user: string;
  readonly group: readonly string[];
}

function holders(layout: Layout, ports: DemoPorts): readonly Holder[] {
  const socket = (endpoint: string): string => `unix://${layout.apiSocket(endpoint)}`;
  const people = endpoints.map((endpoint) => ({
    file: layout.kubeconfig(endpoint),
    endpoint,
    server: `https://127.0.0.1:${apiPort(ports, endpoint)}`,
    user: "admin",
    group: ["system:masters"],
  }));
  const discovery = endpoints.map((endpoint) => ({
    file: layout.ownKubeconfig("discovery", endpoint),
    endpoint,
    server: socket(endpoint),
    user: "system:weft:discovery",
    group: [],
  }));
  const agents = demoClusters.flatMap(({ name: endpoint, nodes }) =>
    nodes.map((node) => ({
      file: layout.ownKubeconfig(node, endpoint),
      endpoint,
      server: socket(endpoint),
      user: `system:node:${node}`,
      group: ["system:nodes"],
    })),
  );
  return [...people, ...discovery, ...agents];
}

/**
 * Makes what everybody shows to the demonstration's APIs, signed by the APIs' authorities, and the key of Secrets in the store. An
 * authority or a key of Secrets that is there already stays.
 * @throws WeftError as `credentialContext` and `writePrivate`.
 */
export async function makeCredentials(layout: Layout, ports: DemoPorts): Promise<void> {
  const { writePrivate } = await import("#apiserver/private-file.ts");
  const { credentialContext } = await import("#server/credential.ts");
  if (!existsSync(layout.encryptionKeys)) {
    writePrivate(layout.encryptionKeys, `demo ${randomBytes(32).toString("base64")}\n`);
  }
  for (const { file, endpoint, ...holder } of holders(layout, ports)) {
    const flags = { ...holder, stateDir: layout.apiState, days, namespace: shopNamespace };
    writePrivate(file, formatKubeconfig([await credentialContext(endpoint, flags, systemClock)]));
  }
}
