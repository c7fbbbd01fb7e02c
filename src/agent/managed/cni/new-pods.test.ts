import { expect, it } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import type { Client } from "#kube/client.ts";
import type { EventText } from "#kube/events.ts";
import { podOf } from "../../testing/pods.ts";
import { NewPods, type ProxyStanding } from "./new-pods.ts";

const pod = podOf({ labels: { "mesh.weft.dev/sidecar": "node" } });
const { uid, name, namespace = "" } = pod.metadata;
const request = { network: "/proc/self/ns/net", namespace, pod: name, uid, address: "10.64.0.5" };

/** Where a new Pod is decided about, with a proxy that stands so at one look after the other, on a clock that does not wait. */
class Played {
  readonly done: string[] = [];
  readonly told: EventText[] = [];
  hasPlace = true;
  stands: ProxyStanding[] = [];
  now = 0;

  readonly news = new NewPods({
    root: "",
    client: { of: () => ({}) } as unknown as Client,
    known: (): Pod => pod,
    namespaceLabels: () => ({}),
    pods: {
      capture: async () => {
        this.done.push("captured");
        return Promise.resolve(this.hasPlace);
      },
    },
    standing: () => {
      const [stands = "waiting"] = this.stands.splice(0, 1);
      this.done.push(stands);
      return stands;
    },
    tell: (_, text) => void this.told.push(text),
    clock: {
      ...systemClock,
      monotonic: () => this.now,
      sleep: async (ms: number) => {
        this.now += ms;
        return Promise.resolve();
      },
    },
  });
}

it("lets a new Pod's containers start once its traffic is captured and its proxy ready", async () => {
  const played = new Played();
  played.stands = ["waiting", "waiting", "ready"];
  expect(await played.news.add(request)).toBeUndefined();
  expect(played.done).toEqual(["captured", "waiting", "waiting", "ready"]);
  expect(played.told).toEqual([]);
});

it("does not wait for the proxy of a Pod that is gone", async () => {
  const played = new Played();
  played.stands = ["waiting", "gone"];
  expect(await played.news.add(request)).toBeUndefined();
  expect(played.done).toEqual(["captured", "waiting", "gone"]);
});

it("waits for a proxy that does not come within limits, and says that the Pod starts cut off", async () => {
  const played = new Played();
  expect(await played.news.add(request)).toBeUndefined();
  expect(played.now).toBe(20_000);
  expect(played.told).toMatchObject([{ type: "Warning", reason: "ProxyNotReady" }]);
  expect(played.told[0]?.message).toContain("is not ready after 20 s");
});

it("does not wait where a proxy cannot start before the Pod's first process", async () => {
  const played = new Played();
  played.hasPlace = false;
  expect(await played.news.add(request)).toBeUndefined();
  expect(played.done).toEqual(["captured"]);
  expect(played.told[0]?.message).toContain("no control group");
});
