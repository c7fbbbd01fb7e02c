import { removeHijacks } from "#runtime/hijack.ts";
import { type CniPlaces, removePlugin } from "./cni/install.ts";
import { ProbeRules } from "./probe-rules.ts";
import { hijackName } from "./hijack-name.ts";

/** Takes away what the agent has put onto the node itself. Sidecars have ended before: namespaces were not selected any more. */
export async function removeNodeAgent(cni: Pick<CniPlaces, "programs" | "configurations">): Promise<void> {
  removePlugin(cni);
  await ProbeRules.clear();
  removeHijacks(hijackName(""));
}
