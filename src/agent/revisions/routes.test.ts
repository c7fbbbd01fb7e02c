import { describe, expect, test } from "vitest";
import { type KnownRevisions, upstreamOf } from "./routes.ts";

const xds = "istiod.istio-system.svc:15012";
const pod = (namespaceLabels: Record<string, string>, labels: Record<string, string> = {}, namespace = "shop") => ({
  namespace,
  labels,
  namespaceLabels,
});

describe("revisions of an installed control plane", () => {
  const tags = new Map([["prod", "1-1"]]);
  const at = (revision: string): object => ({ revision, address: `istiod-${revision}.istio-system.svc:15012` });

  test.each([
    [pod({}), { revision: "default", address: xds }],
    [pod({ "istio-injection": "enabled", "istio.io/rev": "1-1" }), { revision: "default", address: xds }],
    [pod({ "istio.io/rev": "1-1" }), at("1-1")],
    [pod({ "istio.io/rev": "prod" }), at("1-1")],
    [pod({ "istio.io/rev": "1-2" }, { "istio.io/rev": "1-1" }), at("1-2")],
    [pod({}, { "istio.io/rev": "1-1" }), at("1-1")],
  ])("%o is served by %o", (who, expected) => {
    expect(upstreamOf(who, { tags }, xds)).toEqual(expected);
  });

  test("the tag default is for all that name none", () => {
    const moved = { tags: new Map([["default", "1-1"]]) };
    expect(upstreamOf(pod({}), moved, xds)).toEqual(at("1-1"));
    expect(upstreamOf(pod({ "istio-injection": "enabled" }), moved, xds)).toEqual(at("1-1"));
    expect(upstreamOf(pod({ "istio.io/rev": "1-2" }), moved, xds)).toEqual(at("1-2"));
  });

  test("nothing says where a revision is whose control plane is told by its address", () => {
    expect(upstreamOf(pod({ "istio.io/rev": "1-1" }), { tags }, "10.0.0.1:15012").address).toBeUndefined();
  });
});

describe("revisions of a management plane", () => {
  const table = {
    stable: "0-1-0",
    canary: "0-2-0",
    percentage: 50,
    addresses: { "0-1-0": "10.0.0.1:20001", "0-2-0": "10.0.0.1:20002" },
  };
  const known: KnownRevisions = { tags: new Map(), table };
  const revision = (...args: Parameters<typeof pod>): string => upstreamOf(pod(...args), known, "x").revision;

  test("namespaces follow the canary by their share, and more of them when it grows", () => {
    const names = Array.from({ length: 200 }, (_, index) => `team-${index}`);
    const moved = (percentage: number): readonly string[] =>
      names.filter(
        (name) =>
          upstreamOf(pod({}, {}, name), { ...known, table: { ...table, percentage } }, "x").revision === "0-2-0",
      );
    expect(moved(0)).toEqual([]);
    expect(moved(20).length).toBeGreaterThan(15);
    expect(moved(50)).toEqual(expect.arrayContaining([...moved(20)]));
    expect(moved(100)).toEqual(names);
  });

  test("labels bind, injection alone does not", () => {
    const all = { ...table, percentage: 100 };
    const of = (labels: Record<string, string>): object => upstreamOf(pod(labels), { ...known, table: all }, "x");
    expect(of({ "istio-injection": "enabled" })).toEqual({ revision: "0-2-0", address: "10.0.0.1:20002" });
    expect(of({ "istio.io/rev": "0-1-0" })).toEqual({ revision: "0-1-0", address: "10.0.0.1:20001" });
    expect(of({ "istio.io/rev": "default" })).toEqual({ revision: "0-1-0", address: "10.0.0.1:20001" });
    expect(revision({ "istio.io/rev": "0-3-0" })).toBe("0-3-0");
  });
});
