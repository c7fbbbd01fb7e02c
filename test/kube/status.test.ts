/** What the control plane says in the status of Istio's objects. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { destinationRule } from "#api/istio/destination-rule.ts";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { contentHash } from "#base/content-hash.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { typeUrls } from "#proto/encoded.ts";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

interface Said {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

interface Held {
  readonly contentHash?: string;
  readonly held?: readonly object[];
}

test(
  "an object is accepted, and it is said how many proxies of each cluster hold which content",
  { timeout: 60_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const directory = mkdtempSync(join(tmpdir(), "weft-status-"));
    stack.defer(() => rmSync(directory, { recursive: true, force: true }));
    const server = stack.use(await startTestServer());
    const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
    await createNamespace(server, "mesh", "shop");
    await client.of(serviceEntry).create({
      metadata: { namespace: "shop", name: "reviews" },
      spec: { hosts: ["reviews.example.com"], ports: [{ name: "http", number: 9080 }], resolution: "DNS" },
    });
    const ads = { socketPath: join(directory, "ads.sock") };
    stack.use(startDiscovery(server, directory));

    const rules = client.of(destinationRule);
    const name = { namespace: "shop", name: "reviews" };
    const becomes = async (type: string, wanted: Partial<Said>): Promise<void> => {
      await eventually(`${type} says ${JSON.stringify(wanted)}`, async () => {
        const { status } = (await rules.get(name)) as { readonly status?: { readonly conditions?: readonly Said[] } };
        expect(status?.conditions?.find((each) => each.type === type)).toMatchObject(wanted);
        return true;
      });
    };
    const limit = async (maxConnections: number): Promise<unknown> =>
      rules.patch(name, {
        kind: "merge",
        body: { spec: { trafficPolicy: { connectionPool: { tcp: { maxConnections } } } } },
      });

    const connect = async (pod: string, cluster: string): Promise<DeltaStream> => {
      const found = await eventually("the control plane serves", async () => {
        const stream = new DeltaStream(ads);
        stream.ask({
          typeUrl: typeUrls.cluster,
          node: {
            id: `sidecar~10.0.0.1~${pod}.shop~shop.svc.cluster.local`,
            metadata: { NAMESPACE: "shop", CLUSTER_ID: cluster },
          },
        });
        const [first] = await eventually("an answer", () => (stream.responses.length > 0 || stream.ended) && [stream]);
        return first?.ended ? undefined : stream;
      });
      return stack.use(found);
    };
    const answer = (refusal?: string, stream = proxy): void => {
      const { nonce } = stream.responses.at(-1)!;
      stream.ask({
        typeUrl: typeUrls.cluster,
        responseNonce: nonce,
        ...(refusal !== undefined && { errorDetail: { code: 3, message: refusal } }),
      });
    };
    const held = async (...wanted: readonly object[]): Promise<void> => {
      await eventually(`it is held by ${JSON.stringify(wanted)}`, async () => {
        const { spec, status } = (await rules.get(name)) as { readonly spec?: object; readonly status?: Held };
        expect(status?.held).toEqual(wanted);
        expect(status?.contentHash).toBe(contentHash(spec));
        return true;
      });
    };
    const proxy = await connect("page", "east");
    answer();

    await rules.create({ metadata: name, spec: { host: "reviews.example.com" } });
    await eventually("the rule arrives", () => proxy.responses.length >= 2);
    await becomes("Accepted", { status: "True", reason: "Accepted" });
    await becomes("Programmed", { status: "False", reason: "Pending", message: "0 of 1 proxies hold this generation" });
    await held({ cluster: "east", proxies: 1, holding: 0 });
    answer();
    await becomes("Programmed", {
      status: "True",
      reason: "Programmed",
      message: "1 of 1 proxies hold this generation",
    });
    await held({ cluster: "east", proxies: 1, holding: 1 });

    const before = proxy.responses.length;
    await limit(5);
    await eventually("the change arrives", () => proxy.responses.length > before);
    answer("too few");
    await becomes("Programmed", { status: "False", reason: "Refused" });
    await limit(6);
    await eventually("another change arrives", () => proxy.responses.length > before + 1);
    answer();
    await becomes("Programmed", { status: "True", reason: "Programmed" });
    await held({ cluster: "east", proxies: 1, holding: 1 });

    // Proxies that come later are counted too, though nothing was written.
    const [first, second] = [await connect("page-1", "west"), await connect("page-2", "west")];
    answer(undefined, first);
    answer(undefined, second);
    await held({ cluster: "east", proxies: 1, holding: 1 }, { cluster: "west", proxies: 2, holding: 2 });
    await limit(7);
    await eventually("the change arrives everywhere", () => {
      const arrived = [proxy, first, second].every(
        (stream) => stream.responses.length > (stream === proxy ? before + 2 : 1),
      );
      return arrived;
    });
    // That all held what it said before is not said of what it says now.
    await becomes("Accepted", { observedGeneration: 4 });
    await becomes("Programmed", { status: "True", observedGeneration: 3 });
    answer();
    answer(undefined, first);
    await held({ cluster: "east", proxies: 1, holding: 1 }, { cluster: "west", proxies: 2, holding: 1 });
  },
);
