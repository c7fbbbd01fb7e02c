import { expect, it } from "vitest";
import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import { silentLogger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { TrustBundle } from "./trust-bundle.ts";

const [old, next] = ["old", "next"].map((name) => createAuthority(name).certificate) as [string, string];

function bundleOf(...roots: readonly string[]): ConfigMap {
  const metadata = { name: "istio-ca-root-cert", uid: "", resourceVersion: "1", generation: 1, creationTimestamp: "" };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "root-cert.pem": roots.join("") } };
}

it("roots that came with a certificate are trusted beside those that are published, until others are published", () => {
  let changes = 0;
  const trust = new TrustBundle(silentLogger, () => (changes += 1));
  trust.take([old]);
  expect(trust.roots).toEqual([old]);
  trust.published(bundleOf(old, next));
  // By a replica of the control plane that has not heard of the next root yet.
  trust.take([old]);
  expect(trust.roots).toEqual([old, next]);
  trust.published(bundleOf(next));
  expect(trust.roots).toEqual([next]);
  trust.take([next, old]);
  trust.published(bundleOf());
  trust.published(bundleOf("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  expect(trust.roots).toEqual([next, old]);
  trust.published(bundleOf(next));
  expect(trust.roots).toEqual([next]);
  expect(changes).toBe(5);
});
