import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { ProxyConfigSpec } from "#api/istio/proxy-config.ts";
import type { StringMap } from "#api/meta.ts";
import { labelsMatch } from "./labels.ts";
import { mergeProxyConfig } from "./proxy-config.ts";
import type { Config } from "./rows.ts";
import { only, type ServiceQueries } from "./services.ts";
import type { Tables } from "./tables.ts";

/** A workload, as far as it decides how its proxy is started. */
export interface StartedWorkload {
  readonly namespace: string;
  readonly labels: StringMap;
  /** What its annotation says. */
  readonly annotation: MeshProxyConfig | undefined;
}

/** How proxies are started. */
export interface ProxyConfigQueries {
  /**
   * What holds for a workload's proxy: the mesh's `defaultConfig`, before it the ProxyConfig of the root namespace, that of
   * the workload's, its annotation, and the ProxyConfig that selects it.
   */
  readonly effective: (workload: StartedWorkload) => MeshProxyConfig;
}

/** The members of a MeshConfig's ProxyConfig that an object of the kind says. */
function members({ concurrency, environmentVariables, image }: ProxyConfigSpec): MeshProxyConfig {
  return {
    ...(concurrency !== undefined && { concurrency }),
    ...(environmentVariables && { proxyMetadata: environmentVariables }),
    ...(image && { image }),
  };
}

function isForAll({ spec }: Config<ProxyConfigSpec>): boolean {
  return spec.selector === undefined;
}

/** Declares the queries about ProxyConfigs. Of several that would apply, the oldest does, as in Istio. */
export function proxyConfigQueries(tables: Tables, services: ServiceQueries): ProxyConfigQueries {
  const oldest = (namespace: string, fits: (row: Config<ProxyConfigSpec>) => boolean): MeshProxyConfig | undefined => {
    const rows = tables.proxyConfigs.byNamespace.rows(namespace).filter(fits);
    const [first] = rows.toSorted((a, b) => (`${a.created} ${a.name}` < `${b.created} ${b.name}` ? -1 : 1));
    return first && members(first.spec);
  };
  return {
    effective: ({ namespace, labels, annotation }) => {
      const { rootNamespace, defaultConfig } = services.mesh.get(only);
      const selects = ({ spec }: Config<ProxyConfigSpec>): boolean => {
        const wanted = spec.selector?.matchLabels ?? {};
        return Object.keys(wanted).length > 0 && labelsMatch(wanted, labels);
      };
      return [
        oldest(rootNamespace, isForAll),
        namespace === rootNamespace ? undefined : oldest(namespace, isForAll),
        annotation,
        oldest(namespace, selects),
      ].reduce<MeshProxyConfig>((config, over) => mergeProxyConfig(config, over), defaultConfig);
    },
  };
}
