import { describe, expect, test } from "vitest";
import type { Namespace } from "#api/kubernetes/namespace.ts";
import { isAmong } from "#api/weft/revisions.ts";
import { back, type Move, movesTo, settled } from "./moves.ts";

type Labels = Readonly<Record<string, string>>;

function namespaceOf(name: string, labels: Labels, annotations: Labels = {}): Namespace {
  const metadata = {
    name,
    labels,
    annotations,
    uid: name,
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: "2026-01-01T00:00:00Z",
  };
  return { apiVersion: "v1", kind: "Namespace", metadata, spec: {} };
}

/** The namespace as an API server has it when a move was applied. */
function applied({ namespace, labels, before }: Move): Namespace {
  const { name, labels: old = {} } = namespace.metadata;
  const merged = Object.entries({ ...old, ...labels }).filter((entry): entry is [string, string] => entry[1] !== null);
  return namespaceOf(name, Object.fromEntries(merged), before === null ? {} : { "mesh.weft.dev/moved-from": before });
}

const names = Array.from({ length: 40 }, (_, index) => `team-${index}`);
const all = names.map((name) => namespaceOf(name, { "istio-injection": "enabled", team: "a" }));
const none: ReadonlySet<string> = new Set();

/** All namespaces after a share of them was moved. */
function after(namespaces: readonly Namespace[], percentage: number): readonly Namespace[] {
  const moves = new Map(
    movesTo(namespaces, "next", { percentage, named: none }).map((move) => [move.namespace.metadata.name, move]),
  );
  return namespaces.map((each) => {
    const move = moves.get(each.metadata.name);
    return move ? applied(move) : each;
  });
}

const onNext = (namespaces: readonly Namespace[]): readonly string[] =>
  namespaces
    .filter(({ metadata }) => metadata.labels?.["istio.io/rev"] === "next")
    .map(({ metadata }) => metadata.name);

describe("namespaces that follow a revision", () => {
  test("are more when the share grows, fewer when it shrinks, and get their own labels back", () => {
    const some = after(all, 30);
    expect(onNext(some)).toEqual(names.filter((name) => isAmong(name, 30)));
    expect(some.find(({ metadata }) => onNext(some).includes(metadata.name))?.metadata.labels).toEqual({
      team: "a",
      "istio.io/rev": "next",
    });
    const more = after(some, 70);
    expect(onNext(more)).toEqual(expect.arrayContaining([...onNext(some)]));
    expect(onNext(after(more, 30))).toEqual(onNext(some));
    expect(after(more, 0)).toEqual(all);
    expect(movesTo(more, "next", { percentage: 70, named: none })).toEqual([]);
  });

  test("are not those that a label binds to another, unless they are named", () => {
    const bound = namespaceOf("team-1", { "istio.io/rev": "prod" });
    expect(movesTo([bound], "next", { percentage: 100, named: none })).toEqual([]);
    const [move] = movesTo([bound], "next", { percentage: undefined, named: new Set(["team-1"]) });
    if (!move) throw new Error("it is not moved");
    const moved = applied(move);
    expect(moved.metadata.labels).toEqual({ "istio.io/rev": "next" });
    // A share of all is not for it.
    expect(movesTo([moved], "next", { percentage: 0, named: none })).toEqual([]);
    expect(applied(back(moved))).toEqual(bound);
    expect(applied(settled(moved))).toEqual(namespaceOf("team-1", { "istio.io/rev": "next" }));
  });

  test("follow the tag default when the move is finished", () => {
    const moved = after(all, 100);
    expect(moved.map((each) => applied(settled(each)))).toEqual(all);
  });
});
