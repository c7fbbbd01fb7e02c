import type { ResourceObject } from "#api/meta.ts";
import { formatAge } from "#base/duration.ts";
import type { ProxyFindingObject as Served } from "#discovery/proxy-finding.ts";
import type { Client } from "#kube/client.ts";
import { proxiesPath } from "./proxies.ts";

/** What a proxy did that it should not, as the API tells of it (`status.mesh.weft.dev`, kind `ProxyFinding`). */
export interface ProxyFindingObject extends ResourceObject {
  readonly spec: Served["spec"];
  readonly status: Served["status"];
}

/** What proxies did lately that they should not, also such as are not connected any more. */
export async function listFindings(client: Client): Promise<readonly ProxyFindingObject[]> {
  const path = `${proxiesPath}/proxyfindings`;
  const { items } = await client.json<{ readonly items: readonly ProxyFindingObject[] }>({ method: "GET", path });
  return items.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
}

/** Findings as lines for people. */
export function findingText(findings: readonly ProxyFindingObject[], now: number): string {
  return findings
    .map(({ spec: { code, message }, status: { last, count } }) => {
      const often = count === 1 ? "once" : `${count} times`;
      return `${code}: ${message} (${often}, last ${formatAge(now - Date.parse(last))} ago)\n`;
    })
    .join("");
}
