/** Objects of the mesh and of a member that has its own are kept the same both ways. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { Worlds, wordOf } from "./crd-sync-world.ts";

const resources = new AsyncDisposableStack();
let worlds: Worlds;

beforeAll(async () => {
  worlds = await Worlds.start(resources);
});
afterAll(() => resources.disposeAsync());

test("what is written on one side is on the other, and what is deleted goes", { timeout: 60_000 }, async () => {
  await using keeper = await worlds.keeper();
  const { mesh, member } = keeper;
  await mesh.make("a", "one");
  await member.make("b", "two");
  keeper.start();
  await mesh.become({ "shop/a": "one", "shop/b": "two" });
  await member.become({ "shop/a": "one", "shop/b": "two" });
  await member.say("a", "three");
  await mesh.say("b", "four");
  await mesh.become({ "shop/a": "three", "shop/b": "four" });
  await member.become({ "shop/a": "three", "shop/b": "four" });
  await member.entries.delete({ namespace: "shop", name: "a" });
  await mesh.entries.delete({ namespace: "shop", name: "b" });
  await mesh.become({});
  await member.become({});
  expect(await keeper.kept()).toEqual([]);
  // Labels and annotations are content; what kubectl remembers of its own is not.
  const local = "kubectl.kubernetes.io/last-applied-configuration";
  await member.make("c", "five");
  await mesh.become({ "shop/c": "five" });
  const annotations = { note: "x", [local]: "{}" };
  const c = { namespace: "shop", name: "c" };
  await member.entries.patch(c, { kind: "merge", body: { metadata: { labels: { app: "c" }, annotations } } });
  await eventually("its labels are in the mesh", async () => {
    const { metadata } = await mesh.entries.get(c);
    expect(metadata).toMatchObject({ labels: { app: "c" }, annotations: { note: "x" } });
    expect(metadata.annotations?.[local]).toBeUndefined();
    return true;
  });
  expect((await member.entries.get(c)).metadata.annotations?.[local]).toBe("{}");
});

test(
  "the mesh's status is shown in the member, with its own generation, and none goes the other way",
  {
    timeout: 60_000,
  },
  async () => {
    await using keeper = await worlds.keeper();
    const { mesh, member } = keeper;
    const a = { namespace: "shop", name: "a" };
    await mesh.make("a", "one");
    await mesh.say("a", "two");
    keeper.start();
    await member.become({ "shop/a": "two" });
    const tell = async (message: string, behind = 0): Promise<void> => {
      const object = await mesh.entries.get(a);
      const { generation } = object.metadata;
      const condition = { type: "Accepted", status: "True", reason: "Accepted", message };
      const conditions = [{ ...condition, lastTransitionTime: "2026-01-01T00:00:00Z", observedGeneration: generation }];
      await mesh.entries.replaceStatus({ ...object, status: { conditions, observedGeneration: generation - behind } });
    };
    const shown = async (): Promise<unknown> => (await member.entries.get(a))["status"];
    await tell("first");
    await eventually("it is shown", async () => {
      expect(await shown()).toMatchObject({
        conditions: [{ message: "first", observedGeneration: 1 }],
        observedGeneration: 1,
      });
      return true;
    });
    // One that speaks of an older content is not that of what the member has.
    await tell("stale", 1);
    await member.make("b", "three");
    await mesh.become({ "shop/a": "two", "shop/b": "three" });
    expect(await shown()).toMatchObject({ conditions: [{ message: "first" }] });
    const b = await member.entries.get({ namespace: "shop", name: "b" });
    await member.entries.replaceStatus({ ...b, status: { conditions: [] } });
    await tell("second");
    await eventually("the next one is shown", async () => JSON.stringify(await shown()).includes("second"));
    expect((await mesh.entries.get({ namespace: "shop", name: "b" }))["status"]).toBeUndefined();
  },
);

test("nothing is written where nothing changed", { timeout: 60_000 }, async () => {
  await using keeper = await worlds.keeper();
  const { mesh, member } = keeper;
  for (let at = 0; at < 20; at += 1) await (at % 2 ? mesh : member).make(`e${at}`, `w${at}`);
  keeper.start();
  await eventually("all are on both sides", async () => {
    const both = [await mesh.words(), await member.words()];
    return both.every((words) => Object.keys(words).length === 20);
  });
  const versions = async (): Promise<readonly string[]> => {
    const lists = await Promise.all([mesh.entries.list(), member.entries.list()]);
    return lists.flatMap(({ items }) => items.map(({ metadata }) => metadata.resourceVersion));
  };
  const before = await versions();
  await keeper.kill();
  keeper.start();
  // A write after the start shows when it has looked at all.
  await mesh.make("last", "last");
  await eventually("the last is there", async () => (await member.words())["shop/last"] === "last");
  expect((await versions()).filter((version) => !before.includes(version))).toHaveLength(2);
});

test(
  "what happens on one side while it is cut off is made good: edits, deletions and creations",
  { timeout: 60_000 },
  async () => {
    await using keeper = await worlds.keeper();
    const { mesh, member } = keeper;
    for (const name of ["a", "b", "c", "d"]) await mesh.make(name, name);
    keeper.start();
    const all = { "shop/a": "a", "shop/b": "b", "shop/c": "c", "shop/d": "d" };
    await member.become(all);
    await keeper.kill();
    await member.say("a", "a2");
    await member.entries.delete({ namespace: "shop", name: "b" });
    await mesh.entries.delete({ namespace: "shop", name: "c" });
    await mesh.say("d", "d2");
    await member.make("e", "e");
    keeper.start();
    const wanted = { "shop/a": "a2", "shop/d": "d2", "shop/e": "e" };
    await mesh.become(wanted);
    await member.become(wanted);
    expect(await keeper.kept()).toEqual([]);
  },
);

test(
  "of two edits of one object the mesh's stands, and an edit goes before a deletion; what does not stand is kept",
  { timeout: 60_000 },
  async () => {
    await using keeper = await worlds.keeper();
    const { mesh, member } = keeper;
    for (const name of ["a", "b", "c"]) await mesh.make(name, name);
    keeper.start();
    await member.become({ "shop/a": "a", "shop/b": "b", "shop/c": "c" });
    keeper.member.front.behave({ kind: "away" });
    await Promise.all([mesh.say("a", "mesh"), member.say("a", "member")]);
    await Promise.all([mesh.entries.delete({ namespace: "shop", name: "b" }), member.say("b", "edited")]);
    await Promise.all([mesh.say("c", "edited"), member.entries.delete({ namespace: "shop", name: "c" })]);
    keeper.member.front.behave({ kind: "well" });
    const wanted = { "shop/a": "mesh", "shop/b": "edited", "shop/c": "edited" };
    await member.become(wanted);
    await mesh.become(wanted);
    const kept = (await keeper.kept()).map(({ object, reason, side, content }) => ({
      object,
      reason,
      side,
      word: content && wordOf(content["body"] as object as Record<string, unknown>),
    }));
    const of = (name: string): string => `serviceentries.networking.istio.io shop/${name}`;
    expect(kept.toSorted((one, other) => (one.object < other.object ? -1 : 1))).toEqual([
      { object: of("a"), reason: "BothChanged", side: "member", word: "member" },
      { object: of("b"), reason: "ChangedAndDeleted", side: "mesh", word: undefined },
      { object: of("c"), reason: "ChangedAndDeleted", side: "member", word: undefined },
    ]);
  },
);

test(
  "objects that both sides had before and that differ are conflicts, and those that are alike are not",
  { timeout: 60_000 },
  async () => {
    await using keeper = await worlds.keeper();
    const { mesh, member } = keeper;
    for (const world of [mesh, member]) await world.make("alike", "same");
    await mesh.make("other", "mesh");
    await member.make("other", "member");
    keeper.start();
    const wanted = { "shop/alike": "same", "shop/other": "mesh" };
    await member.become(wanted);
    await mesh.become(wanted);
    expect(await keeper.kept()).toMatchObject([{ reason: "BothChanged", side: "member" }]);
  },
);

test("conflicts wait when too many versions are kept, and are in the list of drift", { timeout: 60_000 }, async () => {
  await using keeper = await worlds.keeper(1);
  const { mesh, member } = keeper;
  for (const name of ["a", "b"]) {
    await mesh.make(name, "mesh");
    await member.make(name, "member");
  }
  keeper.start();
  const drift = await eventually("one is in the list", async () => {
    const report = await keeper.drift();
    return report?.total === 1 && report.items[0];
  });
  expect(drift).toMatchObject({
    reason: "TooMuch",
    message: expect.stringContaining("weft cluster drift east") as string,
  });
  expect(Object.values(await member.words()).toSorted()).toEqual(["member", "mesh"]);
  const [{ name } = { name: "" }] = await keeper.kept();
  await mesh.client
    .of({ group: "", kind: "ConfigMap", plural: "configmaps", namespaced: true, versions: [{ name: "v1" }] })
    .delete({ namespace: "istio-system", name });
  await member.become({ "shop/a": "mesh", "shop/b": "mesh" });
  await eventually("the list is empty", async () => (await keeper.drift())?.total === 0);
});

test(
  "a namespace that the member does not have is passed over, and its going deletes nothing of the mesh",
  { timeout: 90_000 },
  async () => {
    await using keeper = await worlds.keeper();
    const { mesh, member } = keeper;
    await mesh.makeNamespace("far");
    await mesh.make("a", "one", "far");
    await mesh.make("b", "two");
    keeper.start();
    await member.become({ "shop/b": "two" });
    await member.makeNamespace("far");
    await member.become({ "far/a": "one", "shop/b": "two" });
    await member.removeNamespace("far");
    await member.removeNamespace("shop");
    // While it is not looked at, a namespace goes and another of the name comes.
    await member.makeNamespace("shop");
    await member.become({ "shop/b": "two" });
    await keeper.kill();
    await member.removeNamespace("shop");
    await member.makeNamespace("shop");
    keeper.start();
    await member.become({ "shop/b": "two" });
    await mesh.become({ "far/a": "one", "shop/b": "two" });
    // One that the mesh does not have is made there.
    await member.makeNamespace("near");
    await member.make("c", "three", "near");
    await mesh.become({ "far/a": "one", "near/c": "three", "shop/b": "two" });
    expect(await mesh.client.of(namespaceKind).find({ name: "near" })).toBeDefined();
  },
);

test("a definition that goes takes nothing of the mesh with it", { timeout: 90_000 }, async () => {
  await using keeper = await worlds.keeper();
  const { mesh, member } = keeper;
  await mesh.make("a", "one");
  keeper.start();
  await member.become({ "shop/a": "one" });
  keeper.definition = undefined;
  await member.entries.delete({ namespace: "shop", name: "a" });
  await eventually("it is told", async () =>
    (await keeper.drift())?.items.some(({ reason }) => reason === "NoDefinition"),
  );
  expect(await mesh.words()).toEqual({ "shop/a": "one" });
  keeper.definition = "second";
  await member.become({ "shop/a": "one" });
  await eventually("the list is empty", async () => (await keeper.drift())?.total === 0);
  await mesh.become({ "shop/a": "one" });
});

const broken = [
  ["429", { status: 429, headers: { "retry-after": "1" }, text: JSON.stringify({ kind: "Status", code: 429 }) }],
  ["410", { status: 410, text: JSON.stringify({ kind: "Status", code: 410, reason: "Expired" }) }],
  ["404", { status: 404, text: "404 page not found" }],
  ["garbage", { status: 200, text: "<html>" }],
  ["an empty list of nothing", { status: 200, text: "{}" }],
] as const;

test.each(broken)(
  "a member's API that answers %s changes nothing, and is followed when it is well again",
  { timeout: 90_000 },
  async (_, answer) => {
    await using keeper = await worlds.keeper();
    const { mesh, member } = keeper;
    await mesh.make("a", "one");
    await member.make("b", "two");
    keeper.start();
    await mesh.become({ "shop/a": "one", "shop/b": "two" });
    await member.become({ "shop/a": "one", "shop/b": "two" });
    member.front.behave({ kind: "answer", ...answer });
    await mesh.say("a", "three");
    await eventually("it is told", async () => ((await keeper.drift())?.total ?? 0) > 0);
    expect(await mesh.words()).toEqual({ "shop/a": "three", "shop/b": "two" });
    member.front.behave({ kind: "well" });
    await member.become({ "shop/a": "three", "shop/b": "two" });
    await mesh.become({ "shop/a": "three", "shop/b": "two" });
    await eventually("the list is empty", async () => (await keeper.drift())?.total === 0);
  },
);
