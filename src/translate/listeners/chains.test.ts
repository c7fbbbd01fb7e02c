import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { singleTarget, type TcpChain } from "../connections/chain.ts";
import { withoutOverlaps } from "./chains.ts";

function chain(serverNames: readonly string[], destinations: readonly string[], cluster = "c"): TcpChain {
  return { serverNames, destinations, target: singleTarget(cluster) };
}

/** Every pair of a name and a network that chains take. */
function pairs(chains: readonly TcpChain[]): readonly string[] {
  const orAll = (list: readonly string[]): readonly string[] => (list.length > 0 ? list : [""]);
  return chains.flatMap((each) =>
    orAll(each.serverNames).flatMap((name) => orAll(each.destinations).map((network) => `${name} ${network}`)),
  );
}

describe("chains of a listener", () => {
  test("keep only the names that none before them has", () => {
    const [first, second] = withoutOverlaps([chain(["a.com", "b.com"], []), chain(["b.com", "*.c.com", "b.com"], [])]);
    expect(first?.serverNames).toEqual(["a.com", "b.com"]);
    expect(second?.serverNames).toEqual(["*.c.com"]);
  });

  test("keep only the networks that none before them has, however they are written", () => {
    const [first, second] = withoutOverlaps([chain([], ["10.1.2.3/8"]), chain([], ["10.0.0.0/8", "10.0.0.1"])]);
    expect(first?.destinations).toEqual(["10.0.0.0/8"]);
    expect(second?.destinations).toEqual(["10.0.0.1/32"]);
  });

  test("go when they have nothing left", () => {
    const all = [chain([], [], "first"), chain([], [], "second"), chain(["*-x.com"], [])];
    expect(withoutOverlaps(all).map(({ target }) => target.statPrefix)).toEqual(["first"]);
  });

  test("never match the same", () => {
    const name = fc.constantFrom("a.com", "b.com", "*.com", "*-x.com");
    const network = fc.constantFrom(
      "10.0.0.0/8",
      "10.1.0.0/8",
      "10.0.0.1",
      "10.0.0.1/32",
      "0.0.0.0/0",
      "2001:db8::/32",
    );
    const some = fc
      .tuple(fc.array(name, { maxLength: 3 }), fc.array(network, { maxLength: 3 }))
      .map(([names, networks]) => chain(names, networks));
    fc.assert(
      fc.property(fc.array(some, { maxLength: 6 }), (chains) => {
        const taken = pairs(withoutOverlaps(chains));
        expect(new Set(taken).size).toBe(taken.length);
        expect(taken.some((each) => each.includes("*-"))).toBe(false);
      }),
      { numRuns: runs(200) },
    );
  });
});
