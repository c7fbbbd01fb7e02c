import { Validator } from "#api/validation.ts";
import { hijackKey, hijackMode } from "#api/weft/hijack-mode.ts";
import { canonical, equal } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { Model } from "#model/model.ts";
import { readProxyConfig } from "#model/mesh-config.ts";
import { mergeProxyConfig, type TrafficConfig, trafficConfig } from "#model/proxy-config.ts";
import { only } from "#model/services.ts";
import type { StartSettings } from "./scopes.ts";
import type { ProxyView } from "./view.ts";

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

/** Settings that hold from a proxy's start, for its agent: what a proxy does with traffic it is told otherwise. */
function startConfig(config: MeshProxyConfig): MeshProxyConfig {
  const { proxyHeaders: _headers, gatewayTopology: _topology, connectionSettings: _connections, ...rest } = config;
  return rest;
}

/** Declares the query about how a proxy is started. */
export function startConfigQuery(engine: Engine, model: Model): (view: ProxyView) => StartSettings {
  const validator = new Validator();
  const annotated = engine.stringQuery("config-annotation", (text) => readProxyConfig(text, validator) ?? {}, equal);
  return ({ type, namespace, labels, config: [text = ""] = [] }) => {
    const annotation = text === "" ? undefined : annotated.get(text);
    const config = startConfig(model.proxyConfigs.effective({ namespace, labels, annotation }));
    if (type !== "sidecar") return { config };
    const { services } = model;
    const hijack = hijackMode(services.namespaceLabels(namespace)[hijackKey]) ?? services.mesh.get(only).hijack;
    return { config, ...(hijack && { hijack }) };
  };
}

/** The mesh's settings as they are for proxies with their own. */
export function settingsFor(mesh: MeshSettings, own: TrafficConfig | undefined): MeshSettings {
  if (!own) return mesh;
  const { unused, ...config } = own;
  return { ...mesh, defaultConfig: config, ...(unused && { unused }) };
}
