import { expect, test } from "vitest";
import type { ProxyCounts } from "#status/mesh.ts";
import { holdersOf } from "./holders.ts";
import { parseCounts, printCounts, sumCounts } from "./proxy-counts.ts";

function counts(clusters: Readonly<Record<string, [connected: number, inSync: number]>>): ProxyCounts {
  const each = Object.entries(clusters);
  return {
    connected: each.reduce((sum, [, [connected]]) => sum + connected, 0),
    inSync: each.reduce((sum, [, [, inSync]]) => sum + inSync, 0),
    refusing: 1,
    misbehaving: 2,
    clusters: new Map(each.map(([name, [connected, inSync]]) => [name, { connected, inSync }])),
  };
}

test("counts of replicas are told as text and summed by cluster", () => {
  const told = parseCounts(printCounts(counts({ west: [2, 1] })));
  const both = sumCounts(counts({ west: [1, 1], east: [4, 3] }), told);
  expect(both).toMatchObject({ connected: 7, inSync: 5, refusing: 2, misbehaving: 4 });
  expect(holdersOf(both)).toEqual({
    connected: 7,
    holding: 5,
    clusters: [
      { cluster: "east", proxies: 4, holding: 3 },
      { cluster: "west", proxies: 3, holding: 2 },
    ],
  });
});

test.each(["", "null", "7", "[]", '{"clusters":[1,"x",null]}', '{"connected":"many","clusters":7}', undefined])(
  "what cannot be read is none: %s",
  (text) => {
    expect(parseCounts(text)).toMatchObject({ connected: 0, inSync: 0, refusing: 0, misbehaving: 0 });
  },
);
