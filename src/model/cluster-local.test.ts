import { describe, expect, it } from "vitest";
import type { MeshConfig } from "#api/istio/mesh-config.ts";
import { modelOf } from "./testing/objects.ts";

function localsOf(
  serviceSettings: NonNullable<MeshConfig["serviceSettings"]>,
  hosts: readonly string[],
): readonly boolean[] {
  const { clusterLocal, inputs } = modelOf("");
  inputs.setMesh({ serviceSettings });
  return hosts.map((host) => clusterLocal.get(host));
}

const dns = "dns.kube-system.svc.cluster.local";
const api = "kubernetes.default.svc.cluster.local";
const shop = "web.shop.svc.cluster.local";

describe("hosts that each cluster has for itself", () => {
  it("are Kubernetes' own unless told", () => {
    const hosts = [dns, api, "istiod.istio-system.svc.cluster.local", shop];
    expect(localsOf([], hosts)).toEqual([true, true, true, false]);
  });

  it("are those of the settings, the most specific first", () => {
    const settings = [
      { settings: { clusterLocal: true }, hosts: ["*.shop.svc.cluster.local"] },
      { settings: { clusterLocal: false }, hosts: [shop] },
    ];
    expect(localsOf(settings, ["a.shop.svc.cluster.local", shop])).toEqual([true, false]);
  });

  it("are not a default any more of which a setting takes some back", () => {
    expect(
      localsOf([{ settings: { clusterLocal: false }, hosts: [dns] }], [dns, "x.kube-system.svc.cluster.local"]),
    ).toEqual([false, false]);
    expect(localsOf([{ hosts: [api] }], [api])).toEqual([false]);
  });
});
