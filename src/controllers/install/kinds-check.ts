import { kinds } from "#api/kinds.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { type Existing, obstacles } from "../aggregation/obstacles.ts";
import { apiService, definitionKind } from "./resources.ts";

/** @throws WeftError `FailedPrecondition` where the cluster has Istio's kinds by itself. */
export async function checkKinds(client: Client, cluster: string): Promise<void> {
  const [definitions, apiServices] = await Promise.all(
    [definitionKind, apiService].map(async (kind) => (await client.of(kind).list()).items),
  );
  const existing: Existing = { definitions: definitions ?? [], apiServices: apiServices ?? [] };
  const found = obstacles(cluster, kinds, existing);
  if (found.length === 0) return;
  const lines = found.map(({ resource, message }) => `  ${resource.kind} ${resource.name}: ${message}`);
  throw new WeftError(
    "FailedPrecondition",
    `the cluster has kinds of Istio's already; nothing was changed:\n${lines.join("\n")}`,
  );
}
