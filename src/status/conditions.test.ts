import { expect, test } from "vitest";
import type { Finding } from "#api/finding.ts";
import { statusOf } from "./conditions.ts";

function finding(code: string, kind: string): Finding {
  const resource = { group: "networking.istio.io", kind, namespace: "shop", name: "x" };
  return { code, severity: "error", resource, field: "spec.host", message: "Nobody is there." };
}

test("findings are messages as Istio has them, and as analysis tells them", () => {
  const findings = [
    finding("UnknownHost", "VirtualService"),
    finding("UnknownHost", "DestinationRule"),
    finding("Own", "Sidecar"),
  ];
  const { validationMessages } = statusOf({ findings, refusals: [] }, 1, "2026-01-01T00:00:00Z");
  const reference = "https://istio.io/latest/docs/reference/config/analysis";
  expect(validationMessages).toEqual([
    {
      type: { name: "ReferencedResourceNotFound", code: "IST0101" },
      level: "ERROR",
      documentationUrl: `${reference}/ist0101/`,
    },
    {
      type: { name: "UnknownDestinationRuleHost", code: "IST0174" },
      level: "WARNING",
      documentationUrl: `${reference}/ist0174/`,
    },
    { type: { name: "Own", code: "Own" }, level: "ERROR", documentationUrl: "docs/analyze.md#own" },
  ]);
});
