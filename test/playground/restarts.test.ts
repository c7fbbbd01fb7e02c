import fc from "fast-check";
import { expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { eventually } from "../support/eventually.ts";
import { TestCluster, deploymentDraft, serviceDraft } from "./cluster.ts";
import { PodWatch, TestNode } from "./node-agent.ts";
import { patience, runs } from "../../src/base/testing/runs.ts";

const web = { namespace: "shop", name: "web" };

/** What goes on in a cluster. */
interface Scene {
  readonly cluster: TestCluster;
  readonly node: TestNode;
  readonly watch: PodWatch;
  replicas: number;
  image: string;
}

interface Step {
  readonly name: string;
  readonly run: (scene: Scene) => Promise<void> | void;
}

function scale(replicas: number): Step {
  const run = async (scene: Scene): Promise<void> => {
    scene.replicas = replicas;
    await scene.cluster.api.deployments.setScale(web, replicas);
  };
  return { name: `scale to ${replicas}`, run };
}

function rollOut(version: number): Step {
  const run = async (scene: Scene): Promise<void> => {
    scene.image = `weft.dev/test/app:${version}`;
    const body = [{ op: "replace", path: "/spec/template/spec/containers/0/image", value: scene.image }];
    await scene.cluster.api.deployments.patch(web, { kind: "json", body });
  };
  return { name: `roll out ${version}`, run };
}

function onPod(
  name: string,
  at: number,
  act: (scene: Scene, pod: PodWatch["active"][number]) => Promise<void> | void,
): Step {
  const run = async (scene: Scene): Promise<void> => {
    const { active } = scene.watch;
    const pod = active[at % Math.max(1, active.length)];
    if (pod !== undefined) await act(scene, pod);
  };
  return { name: `${name} ${at}`, run };
}

/** A rollout or a scaling may have deleted the Pod first: then what this step wants is so already. */
async function deletePod({ cluster }: Scene, { metadata }: PodWatch["active"][number]): Promise<void> {
  await cluster.api.pods.delete(metadata).catch((error: unknown) => {
    if (codeOf(error) !== "NotFound") throw error;
  });
}

/** @param newsMs by how much the next controllers hear of every change too late. */
function kill(newsMs: number): Step {
  const run = ({ cluster }: Scene): void => {
    cluster.killControllers();
    cluster.startControllers(newsMs);
  };
  return { name: `kill the controllers, news ${newsMs} ms late`, run };
}

const restart: Step = { name: "restart the API server", run: async ({ cluster }) => cluster.restartServer() };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 6 }).map(scale) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }).map(rollOut) },
  {
    weight: 2,
    arbitrary: fc.nat(5).map((at) => onPod("delete Pod", at, deletePod)),
  },
  { weight: 1, arbitrary: fc.nat(5).map((at) => onPod("break Pod", at, ({ node }, pod) => node.breakPod(pod))) },
  { weight: 4, arbitrary: fc.constantFrom(0, 30).map(kill) },
  { weight: 1, arbitrary: fc.constant(restart) },
  {
    weight: 3,
    arbitrary: fc.nat(60).map((ms): Step => ({ name: `wait ${ms} ms`, run: async () => systemClock.sleep(ms) })),
  },
);

/** Everything is as the last wishes say, and nothing else is there. */
async function inOrder({ cluster, watch, replicas, image }: Scene): Promise<boolean> {
  const { api } = cluster;
  await eventually("the Deployment is complete", async () => {
    const { spec, status, metadata } = await api.deployments.get(web);
    expect(spec.replicas).toBe(replicas);
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      replicas,
      updatedReplicas: replicas,
      availableReplicas: replicas,
    });
    return true;
  });
  return eventually("exactly its Pods run", async () => {
    const { items } = await api.pods.list({ namespace: "shop" });
    expect(items.map(({ spec }) => spec.containers[0]?.image)).toEqual(Array<string>(replicas).fill(image));
    expect(watch.ready).toHaveLength(replicas);
    const sets = (await api.replicaSets.list({ namespace: "shop" })).items;
    const owners = new Set(sets.filter(({ spec }) => spec.replicas > 0).map(({ metadata }) => metadata.uid));
    for (const { metadata } of items) expect(owners).toContain(metadata.ownerReferences?.[0]?.uid);
    expect(sets.reduce((sum, { spec }) => sum + spec.replicas, 0)).toBe(replicas);
    const slices = (await api.slices.list({ namespace: "shop" })).items;
    const ready = slices.flatMap(({ endpoints }) => endpoints).filter(({ conditions }) => conditions?.ready === true);
    expect(ready.map(({ targetRef }) => targetRef?.name ?? "").toSorted()).toEqual(
      items.map(({ metadata }) => metadata.name).toSorted(),
    );
    return true;
  });
}

test(
  "controllers that are killed at any point bring about what is wanted, and only that",
  { timeout: patience(120_000) },
  async () => {
    const steps = fc.array(step, { minLength: 5, maxLength: 18 });
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        await using cluster = await TestCluster.start();
        await using node = await TestNode.join(cluster.api, "n1");
        await using watch = new PodWatch(cluster.api, "web");
        cluster.startControllers();
        await cluster.api.services.create(serviceDraft("web"));
        await cluster.api.deployments.create(deploymentDraft("web", { replicas: 3 }));
        const scene: Scene = { cluster, node, watch, replicas: 3, image: "weft.dev/test/app:1" };
        for (const { run } of steps) await run(scene);
        // What was broken stays so until it is replaced: a last rollout replaces all.
        await rollOut(9).run(scene);
        expect(await inOrder(scene)).toBe(true);
      }),
      {
        numRuns: runs(6),
        endOnFailure: true,
        examples: [[[scale(6), kill(0), rollOut(2), kill(30), kill(0), scale(2), restart, kill(30)]]],
      },
    );
  },
);
