import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { Endpoint } from "#api/kubernetes/endpoint-slice.ts";
import { busy, eventually } from "../support/eventually.ts";
import { TestCluster, deploymentDraft, fastClock, serviceDraft } from "./cluster.ts";
import { PodWatch, TestNode } from "./node-agent.ts";

let cluster: TestCluster;
let resources: AsyncDisposableStack;
beforeEach(async () => {
  resources = new AsyncDisposableStack();
  cluster = resources.use(await TestCluster.start());
});
afterEach(async () => {
  await resources.disposeAsync();
});

const web = { namespace: "shop", name: "web" };

async function nodes(...names: readonly string[]): Promise<readonly TestNode[]> {
  return Promise.all(
    names.map(async (name) => resources.use(await TestNode.join(cluster.api, name, { zone: `zone-${name}` }))),
  );
}

function isComplete({ spec, status, metadata }: Deployment): boolean {
  const counts = [status?.replicas ?? 0, status?.updatedReplicas ?? 0, status?.availableReplicas ?? 0];
  return status?.observedGeneration === metadata.generation && counts.every((count) => count === spec.replicas);
}

async function complete(): Promise<Deployment> {
  return eventually("the Deployment is complete", async () => {
    const deployment = await cluster.api.deployments.get(web);
    return isComplete(deployment) ? deployment : undefined;
  });
}

async function watchWeb(): Promise<PodWatch> {
  const watch = resources.use(new PodWatch(cluster.api, "web"));
  await watch.synced;
  return watch;
}

async function setImage(image: string): Promise<void> {
  const body = [{ op: "replace", path: "/spec/template/spec/containers/0/image", value: image }];
  await cluster.api.deployments.patch(web, { kind: "json", body });
}

async function endpoints(): Promise<readonly Endpoint[]> {
  const { items } = await cluster.api.slices.list({
    namespace: "shop",
    labelSelector: "kubernetes.io/service-name=web",
  });
  return items.flatMap(({ endpoints }) => endpoints);
}

async function readyNames(): Promise<readonly string[]> {
  const found = await endpoints();
  return found
    .flatMap(({ conditions, targetRef }) => (conditions?.ready === true ? [targetRef?.name ?? ""] : []))
    .toSorted();
}

describe("a Deployment", () => {
  test("becomes Pods on its nodes, evenly, and says when it is complete", async () => {
    cluster.startControllers();
    const joined = await nodes("n1", "n2");
    const watch = await watchWeb();
    await cluster.api.deployments.create(deploymentDraft("web", { replicas: 6 }));
    const { status, metadata } = await complete();
    expect(metadata.annotations?.["deployment.kubernetes.io/revision"]).toBe("1");
    const conditions = Object.fromEntries(
      (status?.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]),
    );
    expect(conditions).toEqual({
      Available: "True MinimumReplicasAvailable",
      Progressing: "True NewReplicaSetAvailable",
    });
    const perNode = joined.map(({ name }) => watch.active.filter(({ spec }) => spec.nodeName === name).length);
    expect(perNode).toEqual([3, 3]);
    const [set] = (await cluster.api.replicaSets.list({ namespace: "shop" })).items;
    const hash = set?.metadata.labels?.["pod-template-hash"];
    expect(set?.metadata.name).toBe(`web-${hash}`);
    for (const pod of watch.active) {
      expect(pod.metadata.labels).toEqual({ app: "web", "pod-template-hash": hash });
      expect(pod.metadata.ownerReferences).toMatchObject([
        { kind: "ReplicaSet", uid: set?.metadata.uid, controller: true },
      ]);
    }
    expect(watch.seen.size).toBe(6);
  });

  test("rolls out and back without ever falling below its replicas or above its surge", async () => {
    cluster.startControllers();
    await nodes("n1", "n2");
    const watch = await watchWeb();
    await cluster.api.deployments.create(deploymentDraft("web", { replicas: 4 }));
    await complete();
    watch.reset();
    await setImage("weft.dev/test/app:2");
    await complete();
    await setImage("weft.dev/test/app:1");
    const { metadata } = await complete();
    expect(watch.least).toBe(4);
    expect(watch.most).toBe(5);
    expect(metadata.annotations?.["deployment.kubernetes.io/revision"]).toBe("3");
    const sets = (await cluster.api.replicaSets.list({ namespace: "shop" })).items;
    const shown = sets.map(({ spec, metadata: { annotations = {} } }) => [
      spec.template.spec.containers[0]?.image,
      spec.replicas,
      annotations["deployment.kubernetes.io/revision"],
      annotations["deployment.kubernetes.io/revision-history"],
    ]);
    expect(shown.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
      ["weft.dev/test/app:1", 4, "3", "1"],
      ["weft.dev/test/app:2", 0, "2", undefined],
    ]);
  });

  test("whose new Pods do not become ready keeps its old ones, and says so after its deadline", async () => {
    cluster.startControllers();
    resources.use(
      await TestNode.join(cluster.api, "n1", {
        readyAfterMs: ({ spec }) => (spec.containers[0]?.image?.endsWith(":bad") === true ? undefined : 5),
      }),
    );
    const watch = await watchWeb();
    await cluster.api.deployments.create(deploymentDraft("web", { progressDeadlineSeconds: 1 }));
    await complete();
    watch.reset();
    await setImage("weft.dev/test/app:bad");
    await eventually("the deadline passes", async () => {
      const { status } = await cluster.api.deployments.get(web);
      return status?.conditions?.some(
        ({ type, reason }) => type === "Progressing" && reason === "ProgressDeadlineExceeded",
      );
    });
    expect([watch.ready.length, watch.active.length, watch.least]).toEqual([3, 4, 3]);
    await setImage("weft.dev/test/app:1");
    await complete();
    expect(watch.least).toBe(3);
  });

  test("scales up and down, Pods that are not ready going first", async () => {
    cluster.startControllers();
    const [node] = await nodes("n1");
    const watch = await watchWeb();
    await cluster.api.deployments.create(deploymentDraft("web", { replicas: 2 }));
    await complete();
    await cluster.api.deployments.setScale(web, 5);
    await complete();
    const [broken] = watch.ready;
    node?.breakPod(broken!);
    await eventually("it is not ready", () => watch.ready.length === 4);
    await cluster.api.deployments.setScale(web, 4);
    await complete();
    expect(watch.active.map(({ metadata }) => metadata.name)).not.toContain(broken?.metadata.name);
    await cluster.api.deployments.setScale(web, 0);
    await eventually("all Pods go", () => watch.active.length === 0);
    expect(watch.seen.size).toBe(5);
  });

  test("that is paused scales but does not roll out until it goes on", async () => {
    cluster.startControllers();
    await nodes("n1");
    await cluster.api.deployments.create(deploymentDraft("web"));
    await complete();
    await cluster.api.deployments.patch(web, { kind: "merge", body: { spec: { paused: true } } });
    await setImage("weft.dev/test/app:2");
    await cluster.api.deployments.setScale(web, 5);
    await eventually("it scales", async () => (await cluster.api.deployments.get(web)).status?.availableReplicas === 5);
    const { status } = await cluster.api.deployments.get(web);
    expect(status?.updatedReplicas).toBe(0);
    expect(status?.conditions).toContainEqual(
      expect.objectContaining({ type: "Progressing", reason: "DeploymentPaused" }),
    );
    await cluster.api.deployments.patch(web, { kind: "merge", body: { spec: { paused: null } } });
    await complete();
  });

  test("without overlap ends all old Pods before it begins the new ones", async () => {
    cluster.startControllers();
    resources.use(await TestNode.join(cluster.api, "n1", { endAfterMs: 100 }));
    await cluster.api.deployments.create(deploymentDraft("web", { strategy: { type: "Recreate" } }));
    await complete();
    const mixtures = resources.use(new PodWatch(cluster.api, "web"));
    await mixtures.synced;
    await setImage("weft.dev/test/app:2");
    await eventually("the rollout is over", async () => {
      const { items } = await cluster.api.pods.list({ namespace: "shop" });
      const images = new Set(items.map(({ spec }) => spec.containers[0]?.image));
      expect(images.size).toBeLessThanOrEqual(1);
      return images.has("weft.dev/test/app:2") && items.length === 3;
    });
    await complete();
    expect(mixtures.seen.size).toBe(6);
  });

  test("forgets old ReplicaSets beyond its limit", async () => {
    cluster.startControllers();
    await nodes("n1");
    await cluster.api.deployments.create(deploymentDraft("web", { replicas: 1, revisionHistoryLimit: 1 }));
    for (const image of ["a", "b", "c"]) {
      await complete();
      await setImage(`weft.dev/test/app:${image}`);
    }
    await complete();
    const left = await eventually("old ones are gone", async () => {
      const { items } = await cluster.api.replicaSets.list({ namespace: "shop" });
      return items.length <= 2 ? items : undefined;
    });
    expect(left.map(({ spec }) => spec.template.spec.containers[0]?.image ?? "").toSorted()).toEqual([
      "weft.dev/test/app:b",
      "weft.dev/test/app:c",
    ]);
  });

  test("adopts a ReplicaSet and Pods that fit, and lets go a Pod whose labels change", async () => {
    cluster.startControllers();
    await nodes("n1");
    const watch = await watchWeb();
    await cluster.api.deployments.create(deploymentDraft("web"));
    await complete();
    const [pod] = watch.active;
    await cluster.api.pods.patch(pod!.metadata, {
      kind: "merge",
      body: { metadata: { labels: { "pod-template-hash": "debug" } } },
    });
    await eventually("it is let go and replaced", async () => {
      const released = await cluster.api.pods.get(pod!.metadata);
      return released.metadata.ownerReferences === undefined || released.metadata.ownerReferences.length === 0;
    });
    await eventually("there is another one", () => watch.ready.length === 4);
    await cluster.stopControllers();
    const deployment = await cluster.api.deployments.get(web);
    const [set] = (await cluster.api.replicaSets.list({ namespace: "shop" })).items;
    await cluster.api.replicaSets.patch(set!.metadata, { kind: "merge", body: { metadata: { ownerReferences: [] } } });
    cluster.startControllers();
    await eventually("the set has its owner again", async () => {
      const { metadata } = await cluster.api.replicaSets.get(set!.metadata);
      return metadata.ownerReferences?.[0]?.uid === deployment.metadata.uid;
    });
    expect(watch.seen.size).toBe(4);
  });
});

test("controllers that hear of everything late create and delete nothing twice", async () => {
  cluster.startControllers(60);
  await nodes("n1");
  const watch = await watchWeb();
  await cluster.api.deployments.create(deploymentDraft("web", { replicas: 5 }));
  await complete();
  expect(watch.seen.size).toBe(5);
  await cluster.api.deployments.setScale(web, 2);
  await complete();
  expect(watch.active).toHaveLength(2);
  watch.reset();
  await cluster.api.deployments.setScale(web, 4);
  await complete();
  expect([watch.least, watch.seen.size]).toEqual([2, 7]);
});

describe("endpoints", () => {
  beforeEach(async () => {
    cluster.startControllers();
    await cluster.api.services.create(serviceDraft("web"));
    await cluster.api.deployments.create(deploymentDraft("web"));
  });

  test("are the ready Pods, with their node's zone and the named port's number", async () => {
    await nodes("n1");
    await complete();
    const watch = await watchWeb();
    await eventually("three endpoints", async () => (await readyNames()).length === 3);
    expect(await readyNames()).toEqual(watch.ready.map(({ metadata }) => metadata.name).toSorted());
    const [slice] = (await cluster.api.slices.list({ namespace: "shop" })).items;
    expect(slice?.ports).toEqual([{ name: "http", protocol: "TCP", port: 9080 }]);
    expect(slice?.endpoints[0]).toMatchObject({
      nodeName: "n1",
      zone: "zone-n1",
      addresses: [expect.stringMatching(/^10\.10\./)],
    });
  });

  test("are gone within a fraction of a second when a Pod stops being ready, and when it is deleted", async () => {
    const [node] = await nodes("n1");
    await complete();
    const watch = await watchWeb();
    await eventually("three endpoints", async () => (await readyNames()).length === 3);
    const times: number[] = [];
    for (const act of ["break", "delete"] as const) {
      const [victim] = watch.ready;
      const { name } = victim!.metadata;
      const from = systemClock.monotonic();
      if (act === "break") node?.breakPod(victim!);
      else await cluster.api.pods.delete(victim!.metadata);
      await eventually(`${name} is out`, async () => !(await readyNames()).includes(name));
      times.push(systemClock.monotonic() - from);
      if (act === "break") node?.breakPod(victim!, false);
      await eventually("three endpoints again", async () => (await readyNames()).length === 3);
    }
    expect(Math.max(...times)).toBeLessThan(1000 * busy);
  });

  test("of a Service whose selector changes follow it, and the slice keeps its name", async () => {
    await nodes("n1");
    await complete();
    await eventually("three endpoints", async () => (await readyNames()).length === 3);
    const names = async (): Promise<readonly string[]> =>
      (await cluster.api.slices.list({ namespace: "shop" })).items.map(({ metadata }) => metadata.name);
    const before = await names();
    await cluster.api.services.patch(web, { kind: "merge", body: { spec: { selector: { app: "other" } } } });
    await eventually("none", async () => (await endpoints()).length === 0);
    await cluster.api.services.patch(web, { kind: "merge", body: { spec: { selector: { app: "web" } } } });
    await eventually("three again", async () => (await readyNames()).length === 3);
    expect(await names()).toEqual(before);
  });
});

describe("placement", () => {
  test("waits, says why, and happens when a fitting node comes", async () => {
    cluster.startControllers();
    await nodes("n1");
    await cluster.api.deployments.create(
      deploymentDraft("web", { replicas: 1 }, { nodeSelector: { "kubernetes.io/hostname": "n2" } }),
    );
    const pod = await eventually("a Pod that fits nowhere", async () => {
      const [one] = (await cluster.api.pods.list({ namespace: "shop" })).items;
      return one?.status?.conditions?.some(({ type, reason }) => type === "PodScheduled" && reason === "Unschedulable")
        ? one
        : undefined;
    });
    const event = await eventually("an event", async () => {
      const { items } = await cluster.api.events.list({ namespace: "shop" });
      return items.find(
        ({ involvedObject, reason }) => involvedObject.uid === pod.metadata.uid && reason === "FailedScheduling",
      );
    });
    expect(event.message).toBe(
      "No node for the Pod: none of 1 nodes fits: 1 without the labels of the Pod's nodeSelector",
    );
    await nodes("n2");
    await complete();
    expect((await cluster.api.pods.get(pod.metadata)).spec.nodeName).toBe("n2");
  });
});

describe("nodes", () => {
  test("get parts of the Pod range, each its own, and a freed part is given again", async () => {
    cluster.startControllers();
    const names = ["a", "b", "c", "d", "e"];
    await Promise.all(names.map(async (name) => cluster.api.nodes.create({ metadata: { name }, spec: {} })));
    const parts = async (): Promise<readonly string[]> =>
      (await cluster.api.nodes.list()).items.flatMap(({ spec }) => spec.podCIDR ?? []).toSorted();
    const expected = ["10.10.0.0/24", "10.10.1.0/24", "10.10.2.0/24", "10.10.3.0/24", "10.10.4.0/24"];
    await eventually("all have one", async () => (await parts()).length === 5);
    expect(await parts()).toEqual(expected);
    await cluster.stopControllers();
    cluster.startControllers();
    await cluster.api.nodes.delete({ name: "c" });
    await cluster.api.nodes.create({ metadata: { name: "f" }, spec: {} });
    await eventually("the new one has one", async () => (await parts()).length === 5);
    expect(await parts()).toEqual(expected);
  });

  test("that fall silent become unknown after 40 seconds, their Pods leave the endpoints, and both recover", async () => {
    const fast = resources.use(await TestCluster.start(fastClock(25)));
    cluster = fast;
    fast.startControllers();
    const [node] = await nodes("n1");
    await fast.api.services.create(serviceDraft("web"));
    await fast.api.deployments.create(deploymentDraft("web"));
    await complete();
    const ready = async (): Promise<string | undefined> =>
      (await fast.api.nodes.get({ name: "n1" })).status?.conditions?.[0]?.status;
    // Some 40 seconds of the controllers' time, in which the heart beats.
    await systemClock.sleep(1800);
    // A machine that stands still for a second and a half lets the heart miss them; one that does not beat stays unknown.
    await eventually("the node is known", async () => (await ready()) === "True");
    node?.silence(true);
    await eventually("the node is unknown", async () => (await ready()) === "Unknown");
    await eventually("no endpoint is left", async () => (await readyNames()).length === 0);
    node?.silence(false);
    await eventually("the endpoints are back", async () => (await readyNames()).length === 3);
    await eventually("and the node", async () => (await ready()) === "True");
  });

  test("that are deleted leave no Pods behind", async () => {
    const fast = resources.use(await TestCluster.start(fastClock(25)));
    cluster = fast;
    fast.startControllers();
    const first = await TestNode.join(fast.api, "n1");
    await fast.api.deployments.create(deploymentDraft("web"));
    await complete();
    await first[Symbol.asyncDispose]();
    await fast.api.nodes.delete({ name: "n1" });
    await nodes("n2");
    const pods = await eventually("three Pods run elsewhere", async () => {
      const { items } = await fast.api.pods.list({ namespace: "shop" });
      const elsewhere = items.filter(({ spec }) => spec.nodeName === "n2");
      return elsewhere.length === 3 ? items : undefined;
    });
    expect(pods).toHaveLength(3);
  });
});
