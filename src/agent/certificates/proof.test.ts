import { describe, expect, it } from "vitest";
import { readTrust, trustMessage } from "#api/kubernetes/proxy-trust.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { type ServedSecret, TrustProof } from "./proof.ts";

const [old, next] = ["0a".repeat(16), "0b".repeat(16)] as const;

/** A proxy that is served secrets and acknowledges some. */
function watched() {
  const clock = new ManualClock();
  const state: {
    certificate: ServedSecret | undefined;
    authorities: ServedSecret | undefined;
    acknowledged: Record<"certificate" | "authorities", ReadonlySet<string | undefined>>;
    told: number;
  } = {
    certificate: { version: "c1", roots: [old] },
    authorities: { version: "r1", roots: [old] },
    acknowledged: { certificate: new Set(), authorities: new Set() },
    told: 0,
  };
  const proof = new TrustProof({
    certificate: () => state.certificate,
    authorities: () => state.authorities,
    controlPlane: () => [old, next],
    version: () => "7",
    acknowledged: (what) => state.acknowledged[what],
    clock,
    changed: () => (state.told += 1),
  });
  const acknowledge = (certificate: string | undefined, authorities: string | undefined): void => {
    state.acknowledged = { certificate: new Set([certificate]), authorities: new Set([authorities]) };
    proof.look();
  };
  return { clock, state, proof, acknowledge };
}

const held = (issuer: string, ...roots: readonly string[]) => ({
  kind: "held",
  trust: { issuer, roots, controlPlane: [old, next], version: "7" },
});

describe("what a proxy was seen to hold", () => {
  it("is what it has acknowledged, not what it was sent", () => {
    const { clock, state, proof, acknowledge } = watched();
    acknowledge(undefined, undefined);
    expect(proof.current).toBeUndefined();
    acknowledge("c1", undefined);
    expect(proof.current).toBeUndefined();
    acknowledge("c1", "r1");
    expect(proof.current).toEqual(held(old, old));
    state.authorities = { version: "r2", roots: [old, next] };
    proof.look();
    // A moment, in which it holds either, is not told.
    expect(proof.current).toEqual(held(old, old));
    clock.advance(3000);
    expect(proof.current).toEqual({ kind: "pending" });
    acknowledge("c1", "r2");
    expect(proof.current).toEqual(held(old, old, next));
    expect(state.told).toBe(3);
  });

  it("is nothing while one of two Envoys on its socket holds something else", () => {
    const { clock, state, proof, acknowledge } = watched();
    acknowledge("c1", "r1");
    state.certificate = { version: "c2", roots: [next] };
    state.acknowledged = { certificate: new Set(["c1", "c2"]), authorities: new Set(["r1"]) };
    proof.look();
    clock.advance(3000);
    expect(proof.current).toEqual({ kind: "pending" });
    acknowledge("c2", "r1");
    expect(proof.current).toEqual(held(next, old));
  });

  it("is what it would be served where it asks for nothing for a minute, and not before", () => {
    const { clock, proof, acknowledge } = watched();
    proof.look();
    clock.advance(59_000);
    expect(proof.current).toEqual({ kind: "pending" });
    clock.advance(2000);
    expect(proof.current).toEqual(held(old, old));
    acknowledge("of another agent", "r1");
    clock.advance(3000);
    expect(proof.current).toEqual({ kind: "pending" });
  });

  it("is unknown while there is no certificate", () => {
    const { clock, state, proof, acknowledge } = watched();
    state.certificate = undefined;
    acknowledge("c1", "r1");
    clock.advance(120_000);
    expect(proof.current).toEqual({ kind: "pending" });
  });

  it("can be read from what is written of it, and nothing else can", () => {
    const trust = { issuer: old, roots: [old, next], controlPlane: [next], version: "7" };
    expect(readTrust(trustMessage(trust))).toEqual(trust);
    for (const roots of [{ roots: [] }, { issuer: "" }, { controlPlane: [] }])
      expect(readTrust(trustMessage({ ...trust, ...roots }))).toBeUndefined();
    expect(readTrust("all is well")).toBeUndefined();
  });
});
