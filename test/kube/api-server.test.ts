import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { EventRecorder } from "#kube/events.ts";
import { Informer } from "#kube/informer.ts";
import type { Service } from "#api/kubernetes/service.ts";
import { TestCluster, deploymentDraft, serviceDraft } from "../playground/cluster.ts";
import { eventually } from "../support/eventually.ts";

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

const web = { namespace: "shop", name: "web" };

test("objects are created, read, changed and deleted; what the server refuses has its code and message", async () => {
  const { services } = cluster.api;
  const made = await services.create(serviceDraft("web"));
  expect(made.spec.clusterIP).toMatch(/^10\.110\./);
  await expect(services.create(serviceDraft("web"))).rejects.toMatchObject({
    code: "AlreadyExists",
    message: 'services "web" already exists',
  });
  await expect(services.get({ ...web, name: "none" })).rejects.toMatchObject({
    code: "NotFound",
    message: 'services "none" not found',
  });

  const patched = await services.patch(web, { kind: "merge", body: { metadata: { labels: { a: "b" } } } });
  expect(patched.metadata).toMatchObject({ labels: { a: "b" }, uid: made.metadata.uid });
  await expect(services.replace(made)).rejects.toMatchObject({ code: "Conflict" });
  const bad: Service = { ...patched, spec: { ...patched.spec, ports: [{ port: 99_999, protocol: "TCP" }] } };
  await expect(services.replace(bad)).rejects.toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining("spec.ports[0].port") as string,
  });

  await services.create({ ...serviceDraft("dry") }, { dryRun: true });
  expect(await services.find({ ...web, name: "dry" })).toBeUndefined();
  await expect(services.delete(web, { uid: "another" })).rejects.toMatchObject({ code: "Conflict" });
  await services.delete(web, { uid: made.metadata.uid });
  expect(await services.find(web)).toBeUndefined();
});

test("status and scale are written apart from the rest", async () => {
  const { deployments } = cluster.api;
  const made = await deployments.create(deploymentDraft("web"));
  const told = await deployments.replaceStatus({
    ...made,
    spec: { ...made.spec, replicas: 9 },
    status: { readyReplicas: 2 },
  });
  expect([told.spec.replicas, told.status?.readyReplicas, told.metadata.generation]).toEqual([3, 2, 1]);
  expect((await deployments.setScale(web, 5)).spec.replicas).toBe(5);
  expect((await deployments.scale(web)).status?.selector).toBe("app=web");
  expect((await deployments.get(web)).metadata.generation).toBe(2);
});

test("a list of many pages is whole", async () => {
  const names = Array.from({ length: 620 }, (_, at) => `n${String(at).padStart(3, "0")}`);
  await Promise.all(names.map(async (name) => cluster.api.nodes.create({ metadata: { name }, spec: {} })));
  const { items } = await cluster.api.nodes.list();
  expect(items.map(({ metadata }) => metadata.name)).toEqual(names);
});

test("a local copy outlives the server: it keeps the last state, and catches up although the past is forgotten", async () => {
  const { services } = cluster.api;
  await services.create(serviceDraft("a"));
  await services.create(serviceDraft("b"));
  const informer = new Informer({ client: services, clock: systemClock, logger: silentLogger });
  const names = (): readonly string[] =>
    informer
      .list()
      .map(({ metadata }) => metadata.name)
      .toSorted();
  const stop = new AbortController();
  const run = informer.run(stop.signal);
  await informer.synced;
  await cluster.stopServer();
  expect(names()).toEqual(["a", "b"]);
  await cluster.startServer();
  await services.delete({ ...web, name: "a" });
  await services.create(serviceDraft("c"));
  await cluster.forgetHistory();
  await eventually("it has caught up", () => names().join() === "b,c");
  await services.create(serviceDraft("d"));
  await eventually("it follows", () => names().join() === "b,c,d");
  stop.abort();
  await run;
});

test("events that happen again are counted", async () => {
  const { client, services, events } = cluster.api;
  const made = await services.create(serviceDraft("web"));
  const recorder = new EventRecorder(client, "tester", systemClock, silentLogger);
  const text = { type: "Warning", reason: "Tried", message: "tried in vain" } as const;
  for (let time = 0; time < 3; time += 1) recorder.record(made, text);
  await recorder.flush();
  const [first, ...others] = (await events.list({ namespace: "shop" })).items;
  expect(others).toEqual([]);
  expect(first).toMatchObject({
    ...text,
    count: 3,
    source: { component: "tester" },
    involvedObject: { kind: "Service", uid: made.metadata.uid },
  });
  await events.delete(first!.metadata);
  recorder.record(made, text);
  await recorder.flush();
  expect((await events.list({ namespace: "shop" })).items).toHaveLength(1);
});
