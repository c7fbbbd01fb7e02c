import { describe, expect, it } from "vitest";
import type { LoadBalancerSettings } from "#api/istio/traffic-policy.ts";
import { meshSettings } from "#model/mesh.ts";
import { localityPolicy } from "./preference.ts";

const [near, off] = [{ failover: [] }, { enabled: false }];

/** What decides: `rule`, `mesh` or `service`, and whether by zones; `off` for nothing. */
function decided(
  mesh: Parameters<typeof meshSettings>[0],
  rule: LoadBalancerSettings,
  prefers?: "zone" | "node",
): string {
  const policy = localityPolicy({ loadBalancer: rule }, { ...(prefers && { prefers }) }, meshSettings(mesh));
  if (!policy) return "off";
  const { localityLbSetting: ruled, zoneAwareLbSetting: zoned } = rule;
  const by = policy.setting === ruled || policy.setting === zoned ? "rule" : "mesh";
  if (policy.kind === "zones") return `zones of ${by}${policy.setting.enabled === false ? ", off" : ""}`;
  return policy.failsOver ? "service" : by;
}

describe("what decides on localities", () => {
  // Istio's TestGetEffectiveLbSetting.
  it.each([
    ["mesh", { localityLbSetting: near }, {}],
    ["rule", { localityLbSetting: near }, { localityLbSetting: near }],
    ["service", { localityLbSetting: near }, {}, "zone"],
    ["service", { localityLbSetting: near }, {}, "node"],
    ["off", { localityLbSetting: off }, {}],
    ["off", { localityLbSetting: near }, { localityLbSetting: off }],
    ["rule", { localityLbSetting: off }, { localityLbSetting: { enabled: true } }],
    ["zones of mesh", { zoneAwareLbSetting: near }, {}],
    ["zones of rule", { zoneAwareLbSetting: near }, { zoneAwareLbSetting: near }],
    ["zones of rule", { localityLbSetting: near }, { zoneAwareLbSetting: near }],
    ["rule", { zoneAwareLbSetting: near }, { localityLbSetting: near }],
    ["zones of mesh", { zoneAwareLbSetting: near, localityLbSetting: near }, {}],
    ["zones of mesh, off", { zoneAwareLbSetting: off, localityLbSetting: near }, {}],
    ["zones of rule, off", { localityLbSetting: near }, { zoneAwareLbSetting: off }],
    ["zones of rule", { zoneAwareLbSetting: off }, { zoneAwareLbSetting: { enabled: true } }],
    ["service", { zoneAwareLbSetting: near }, {}, "zone"],
    ["zones of rule", {}, { zoneAwareLbSetting: near }, "zone"],
    ["rule", {}, { localityLbSetting: near }, "zone"],
  ] as const)(
    "is %s for a mesh %o and a rule %o, and a service that prefers its %s",
    (expected, mesh, rule, prefers?) => {
      // Each setting is an object of its own, so that they are told apart.
      expect(decided(structuredClone(mesh), structuredClone(rule), prefers)).toBe(expected);
    },
  );
});
