import { expect, test } from "vitest";
import { Engine } from "#incremental/engine.ts";
import { createModel } from "#model/model.ts";
import type { Holder } from "#translate/scopes.ts";
import type { AskingProxy } from "#xds/port.ts";
import { DemandLedger } from "./demand.ts";

const place = { region: "", zone: "", subzone: "" };

function proxy(id: string, workload: string): AskingProxy {
  return { node: { id, cluster: "", metadata: {}, version: "1.40.0", locality: place }, class: workload };
}

const holder: Holder = {
  workload: "shop/page",
  declaring: { namespace: "*", sidecar: "" },
  view: { kind: "sidecar", client: { namespace: "*", sidecar: "" }, namespace: "shop", cluster: "", sourceLabels: {} },
};

function ledger(asked: readonly string[] = []) {
  const model = createModel(new Engine());
  const kept: (readonly [string, readonly string[]])[] = [];
  const source = {
    workload: (key: string) => (key === "" ? undefined : key),
    holder: () => holder,
    asked: () => asked,
  };
  const keeper = { keep: (workload: string, hosts: readonly string[]) => void kept.push([workload, hosts]) };
  const demand = new DemandLedger({ model, source, keeper, mostAsks: 3 });
  return { demand, kept, asks: (workload: string) => model.tables.asks.get(workload) };
}

test("what proxies of a workload ask for is remembered while one of them is connected", () => {
  const { demand, asks } = ledger();
  const [a, b] = [proxy("a", "shop/page"), proxy("b", "shop/page")];
  demand.came(a);
  demand.came(b);
  demand.asked(a, ["80/y", "80/x"]);
  demand.asked(b, ["80/x"]);
  expect(asks("shop/page")).toEqual({ names: ["80/x", "80/y"], tooMany: false });
  demand.left(a);
  expect(asks("shop/page")).toEqual({ names: ["80/x", "80/y"], tooMany: false });
  demand.left(b);
  demand.left(b);
  expect(asks("shop/page")).toBeUndefined();
});

test("a proxy that asks for a million hosts costs no more than the bound, and nobody else anything", () => {
  const { demand, asks } = ledger();
  const greedy = proxy("a", "shop/greedy");
  const modest = proxy("b", "shop/page");
  demand.came(greedy);
  demand.came(modest);
  demand.asked(modest, ["80/x"]);
  for (let at = 0; at < 1_000_000; at += 1000) {
    demand.asked(
      greedy,
      Array.from({ length: 1000 }, (_, more) => `80/host-${at + more}`),
    );
  }
  expect(asks("shop/greedy")).toEqual({ names: [], tooMany: true });
  expect(asks("shop/page")).toEqual({ names: ["80/x"], tooMany: false });
  demand.left(greedy);
  expect(asks("shop/greedy")).toBeUndefined();
});

test("what names stand for is kept, of proxies that have a workload", () => {
  const { demand, kept, asks } = ledger(["x.shop.svc.cluster.local"]);
  demand.asked(proxy("a", ""), ["80/x"]);
  expect([kept, asks("")]).toEqual([[], undefined]);
  const asking = proxy("b", "shop/page");
  demand.came(asking);
  demand.asked(asking, ["80/x"]);
  expect(kept).toEqual([["shop/page", ["x.shop.svc.cluster.local"]]]);
  // Who holds what is kept, is told by workload.
  expect(demand.holdings("shop/page").map((each) => [each.workload, each.proxies.length])).toEqual([["shop/page", 1]]);
  expect([...demand.hosts("shop/page")]).toEqual(["x.shop.svc.cluster.local"]);
  // A later look keeps what was not kept, such as after a switch.
  demand.settle();
  expect(kept).toHaveLength(2);
});
