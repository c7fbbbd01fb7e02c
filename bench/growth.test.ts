import { expect, test } from "vitest";
import { patience } from "#base/testing/runs.ts";
import { servedGrowth } from "./growth-run.ts";

test(
  "proxies that come and stay are told of changes, each that it concerns, and operators are told of all of them",
  { timeout: patience(180_000) },
  async () => {
    const scale = { services: 20, namespaces: 4, sidecars: 1 };
    const { listing } = await servedGrowth({ scale, few: 8, all: 60, restMs: 100, say: () => undefined });
    expect(listing.rows).toBe(60);
  },
);
