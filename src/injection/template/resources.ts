import type { TemplateContext } from "./context.ts";

const prefix = "sidecar.istio.io/proxy";

/** What the containers of a proxy may use: one annotation of the Pod, and the settings say nothing any more. */
export function resourcesOf({ pod, settings }: TemplateContext): object {
  const { annotations = {} } = pod.metadata;
  const amounts = (suffix: string): object => {
    const [cpu, memory] = [annotations[`${prefix}CPU${suffix}`], annotations[`${prefix}Memory${suffix}`]];
    return { ...(cpu !== undefined && { cpu }), ...(memory !== undefined && { memory }) };
  };
  const told = Object.entries({ requests: amounts(""), limits: amounts("Limit") });
  const set = told.filter(([, amount]) => Object.keys(amount).length > 0);
  return set.length === 0 ? settings.proxy.resources : Object.fromEntries(set);
}
