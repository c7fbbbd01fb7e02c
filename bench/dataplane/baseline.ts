import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bootstrap } from "./measures.ts";
import type { Side } from "./mesh.ts";

/**
 * The configuration that Istio gives a sidecar by default, as far as stock Envoy has what it takes (`baseline/`).
 * @param sds socket by which the proxy is served its certificate.
 */
export function baseline(side: Side, sds: string): Bootstrap {
  const text = readFileSync(join(import.meta.dirname, "baseline", `${side}.json`), "utf8");
  return JSON.parse(text.replaceAll("@SDS@", sds)) as Bootstrap;
}
