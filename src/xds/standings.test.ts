import { expect, test } from "vitest";
import { standingsOf } from "./standings.ts";

function proxy(cluster: unknown, standing: "SYNCED" | "STALE" | "NACKED"): Parameters<typeof standingsOf>[0] {
  const locality = { region: "", zone: "", subzone: "" };
  const node = { id: "x", cluster: "x", metadata: { CLUSTER_ID: cluster }, version: "", locality };
  return [{ node, standing: () => standing }];
}

test("proxies are counted together and by the cluster that they say", () => {
  const told = standingsOf([
    ...proxy("east", "SYNCED"),
    ...proxy("east", "STALE"),
    ...proxy("west", "NACKED"),
    ...proxy(7, "SYNCED"),
  ]);
  expect(told).toMatchObject({ connected: 4, inSync: 2, refusing: 1 });
  expect([...told.clusters]).toEqual([
    ["east", { connected: 2, inSync: 1 }],
    ["west", { connected: 1, inSync: 0 }],
    ["", { connected: 1, inSync: 1 }],
  ]);
});

test("names that no cluster has, and too many of them, are counted as none", () => {
  const many = Array.from({ length: 300 }, (_, at) => [...proxy(`c${at}`, "SYNCED")]).flat();
  const { clusters, connected } = standingsOf([...many, ...proxy("x".repeat(64), "SYNCED")]);
  expect(connected).toBe(301);
  expect(clusters.size).toBe(129);
  expect(clusters.get("")).toEqual({ connected: 173, inSync: 173 });
});
