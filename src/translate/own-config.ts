import { Validator } from "#api/validation.ts";
import { canonical, equal } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { Model } from "#model/model.ts";
import { readProxyConfig } from "#model/mesh-config.ts";
import { mergeProxyConfig, type TrafficConfig, trafficConfig } from "#model/proxy-config.ts";
import { only } from "#model/services.ts";

/** Settings of a proxy's own by the texts that say them, the later before the earlier; undefined where they come to the mesh's. */
export type OwnConfigQuery = Query<readonly string[], TrafficConfig | undefined>;

/** Declares the query about settings of single proxies. */
export function ownConfigQuery(engine: Engine, model: Model): OwnConfigQuery {
  const validator = new Validator();
  return engine.query<readonly string[], TrafficConfig | undefined>({
    name: "own-config",
    key: canonical,
    equal,
    compute: (texts) => {
      const base = model.services.mesh.get(only).defaultConfig;
      const merged = texts
        .filter((text) => text !== "")
        .reduce((config, text) => mergeProxyConfig(config, readProxyConfig(text, validator)), base);
      const own = trafficConfig(merged);
      return equal(own, trafficConfig(base)) ? undefined : own;
    },
  });
}

/** The mesh's settings as they are for proxies with their own. */
export function settingsFor(mesh: MeshSettings, own: TrafficConfig | undefined): MeshSettings {
  return own ? { ...mesh, defaultConfig: own } : mesh;
}
