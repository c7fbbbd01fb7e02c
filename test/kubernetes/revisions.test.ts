/** Revisions of an installed control plane side by side: who follows which, under load, until the old one is removed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isAmong } from "#api/weft/revisions.ts";
import { readReport } from "#api/weft/revision-report.ts";
import { eventually } from "../support/eventually.ts";
import { namespaceOf, patience, RevisionWorld, routeOf, serviceOf, strictMesh } from "./revision-world.ts";
import { between, failures, type LoadState } from "./shop.ts";

const resources = new AsyncDisposableStack();
let world: RevisionWorld;

beforeAll(async () => {
  world = resources.use(await RevisionWorld.start("revisions"));
  await world.install();
}, 600_000);
afterAll(() => resources.disposeAsync());

interface Tags {
  readonly items: readonly { readonly metadata: { readonly name: string; readonly labels: Record<string, string> } }[];
}

/** The revision that injects a Pod of a namespace; empty where none does. */
async function injecting(namespace: string): Promise<string> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name: "asked" },
    spec: { containers: [{ name: "app", image: "none" }] },
  };
  return world.kubectl("create --dry-run=server -f - -o jsonpath={.metadata.annotations.istio\\.io/rev}", pod);
}

test("a second revision and tags: whom a namespace names injects its Pods", async () => {
  const refused = await world.weft("install", "--image=x", "--cluster=two", "--revision=canary");
  expect(refused.stderr).toContain("--cluster two: the installation calls this cluster one");
  const early = await world.weft("revision", "tag", "set", "prod", "--revision", "canary");
  expect(early.stderr).toContain("there is no revision canary with webhooks that inject");
  await world.install("--revision=canary");
  // The first revision is what it was.
  expect(await world.kubectl("get deployments -n istio-system -o name")).toBe(
    [
      "deployment.apps/istiod",
      "deployment.apps/istiod-canary",
      "deployment.apps/weft-guard",
      "deployment.apps/weft-server",
    ].join("\n"),
  );
  await world.kubectl(
    "apply -f -",
    namespaceOf("plain", {}),
    namespaceOf("enabled", { "istio-injection": "enabled" }),
    namespaceOf("named", { "istio.io/rev": "canary" }),
    namespaceOf("tagged", { "istio.io/rev": "prod" }),
  );
  const all = async (): Promise<readonly string[]> =>
    Promise.all(["plain", "enabled", "named", "tagged"].map(injecting));
  expect(await all()).toEqual(["", "default", "canary", ""]);
  await world.succeeds("revision", "tag", "set", "prod", "--revision", "default");
  expect(await all()).toEqual(["", "default", "canary", "default"]);
  const again = await world.weft("revision", "tag", "set", "prod", "--revision", "canary");
  expect(again.stderr).toContain("the tag prod leads to revision default: give --overwrite");
  await world.succeeds("revision", "tag", "set", "prod", "--revision", "canary", "--overwrite");
  expect(await all()).toEqual(["", "default", "canary", "canary"]);
  // As istioctl finds them.
  const found = JSON.parse(await world.kubectl("get mutatingwebhookconfigurations -l istio.io/tag -o json")) as Tags;
  expect(found.items.map(({ metadata }) => [metadata.name, metadata.labels["istio.io/rev"]])).toEqual([
    ["istio-revision-tag-prod", "canary"],
  ]);
  expect(await world.succeeds("revision", "tag", "list")).toMatch(/^prod +canary +tagged$/m);
  const kept = await world.weft("revision", "tag", "remove", "prod");
  expect(kept.stderr).toContain("namespaces name the tag prod: tagged");
});

test("the tag default has namespaces without a revision's name injected by another, and gives them back", async () => {
  await world.succeeds("revision", "tag", "set", "default", "--revision", "canary", "--overwrite");
  expect(await injecting("enabled")).toBe("canary");
  // Installing again keeps that, and all that is the other revision's.
  await world.install();
  expect(await injecting("enabled")).toBe("canary");
  await world.succeeds("revision", "tag", "remove", "default");
  expect(await injecting("enabled")).toBe("default");
  await world.succeeds("revision", "tag", "remove", "prod", "--yes");
  expect(await injecting("tagged")).toBe("");
});

describe("under load, a workload that is injected and one that a node's agent manages", () => {
  /** `orders` has injected Pods, `stock` those of the node's agent. */
  const namespaces = ["orders", "stock"] as const;
  const targets = { ratings: "stock", details: "orders" } as const;
  let begun: LoadState;

  const services = Object.keys(targets);
  const isUnhurt = async (since: LoadState): Promise<void> =>
    expect(await world.harm("stock", services, since)).toEqual([]);
  const processes = async (): Promise<readonly string[]> => world.processes("stock");

  /** Proxies that a revision serves, by their Pods' names without what is made up. */
  async function servedBy(revision: string): Promise<readonly string[]> {
    const text = await world.kubectl(`get configmap -n istio-system weft-revision-${revision} -o json`);
    const { data = {} } = JSON.parse(text) as { readonly data?: Readonly<Record<string, string>> };
    const proxies = Object.values(data).flatMap((each) => readReport(each)?.proxies ?? []);
    return proxies.map((each) => each.replace(/^(\w+).*\.(\w+) \(one\)$/, "$1.$2")).toSorted();
  }

  async function areServed(revision: string, proxies: readonly string[]): Promise<void> {
    try {
      await eventually(
        `revision ${revision} serves ${proxies.join(", ")}`,
        async () => {
          expect(await servedBy(revision)).toEqual(proxies);
          return true;
        },
        60_000,
      );
    } catch (fault) {
      throw new Error(`the agent: ${await world.agentLog()}`, { cause: fault });
    }
  }

  async function rollOut(): Promise<void> {
    await world.kubectl("rollout restart deployment details -n orders");
    await world.kubectl("rollout status deployment details -n orders --timeout=3m");
    // The Pod before drains, and is gone with its proxy.
    const phase = "jsonpath={.items[*].metadata.name}";
    const pods = async (): Promise<number> => (await world.kubectl(`get pods -n orders -o ${phase}`)).split(" ").length;
    await eventually("one Pod is left", async () => (await pods()) === 1, 90_000);
  }

  const revisionOf = async (namespace: string): Promise<string> =>
    world.kubectl(`get namespace ${namespace} -o jsonpath={.metadata.labels.istio\\.io/rev}`);

  beforeAll(async () => {
    await world.agents();
    await world.kubectl(
      "apply -f -",
      strictMesh,
      namespaceOf("orders", { "istio-injection": "enabled" }),
      namespaceOf("stock", { "mesh.weft.dev/sidecar": "node" }),
      ...Object.entries(targets).flatMap(([name, namespace]) => [serviceOf(namespace, name), routeOf(namespace, name)]),
      world.deployment("orders", "details"),
      world.deployment("stock", "ratings"),
    );
    for (const [name, namespace] of Object.entries(targets))
      await world.kubectl(`rollout status deployment ${name} -n ${namespace} --timeout=3m`);
    const urls = Object.entries(targets).map(([name, namespace]) => {
      return [name, `http://${name}.${namespace}:9080/${name}/time-machine`] as const;
    });
    // Its first requests are those of a Pod that has joined.
    await areServed("default", ["details.orders", "ratings.stock"]);
    await world.kubectl("apply -f -", world.loadPod("stock", Object.fromEntries(urls)));
    await world.loadIsJoined("stock", services);
    begun = await world.load("stock");
  }, 400_000);

  test("a share of the namespaces follows: node-managed proxies without a restart, injected ones when they are rolled out", async () => {
    const before = await processes();
    const shares = Array.from({ length: 100 }, (_, index) => index + 1);
    const share = shares.find((each) => isAmong("stock", each)) ?? 100;
    await world.succeeds("revision", "move", "canary", "--percent", String(share));
    const expected = namespaces.map((name) => (isAmong(name, share) ? "canary" : ""));
    expect(await Promise.all(namespaces.map(revisionOf))).toEqual(expected);
    await areServed("canary", ["load.stock", "ratings.stock"]);
    await areServed("default", ["details.orders"]);
    await world.succeeds("revision", "move", "canary", "--percent", "100");
    expect(await Promise.all(namespaces.map(revisionOf))).toEqual(["canary", "canary"]);
    await rollOut();
    await areServed("canary", ["details.orders", "load.stock", "ratings.stock"]);
    expect(await world.succeeds("revision", "list")).toMatch(/^canary +\S+ +1\/1 +- +3 +enabled,named,orders,stock$/m);
    expect(await processes()).toEqual(before);
    await isUnhurt(begun);
  });

  test("all of it goes back", async () => {
    const before = await processes();
    await world.succeeds("revision", "rollback", "canary");
    expect(await Promise.all(namespaces.map(revisionOf))).toEqual(["", ""]);
    await areServed("default", ["load.stock", "ratings.stock"]);
    await rollOut();
    await areServed("default", ["details.orders", "load.stock", "ratings.stock"]);
    await areServed("canary", []);
    expect(await processes()).toEqual(before);
    await isUnhurt(begun);
  });

  test("a proxy stays where it is when its namespace names a revision that is not there, and says so", async () => {
    await world.kubectl("label namespace stock istio.io/rev=nowhere");
    await eventually(
      "the Pod says it",
      async () =>
        (await world.kubectl("get events -n stock -o jsonpath={.items[*].reason}")).includes("RevisionUnavailable"),
      60_000,
    );
    await areServed("default", ["details.orders", "load.stock", "ratings.stock"]);
    const refused = await world.weft("revision", "move", "nowhere", "--percent", "10");
    expect(refused.stderr).toContain("there is no revision nowhere in this cluster; there is canary, default");
    await world.kubectl("label namespace stock istio.io/rev-");
    await isUnhurt(begun);
  });

  test("an installation is not removed under Pods that it or their nodes gave a proxy", async () => {
    const { code, stderr } = await world.weft("uninstall");
    expect(code).toBe(1);
    expect(stderr).toContain("Pods have a proxy that would lose the mesh");
    expect(stderr).toContain("take the label istio-injection from their namespaces and restart them");
    expect(stderr).toMatch(
      /take the label mesh\.weft\.dev\/sidecar from the namespaces of the [1-9]\d* that nodes give/,
    );
  });

  test("a move that would find something anew, or while a control plane is not ready, is refused", async () => {
    await world.kubectl("scale deployment -n istio-system istiod-canary --replicas=0");
    const refused = await world.weft("revision", "move", "canary", "--percent", "10");
    expect(refused.stderr).toContain("Of revision canary:");
    expect(refused.stderr).toContain("no control plane of it tells how it stands");
    await world.kubectl("scale deployment -n istio-system istiod-canary --replicas=1");
    await world.kubectl("rollout status deployment -n istio-system istiod-canary --timeout=2m");
  });

  test("the upgrade is finished, and the old revision removed once nobody is on it", async () => {
    const before = await processes();
    await world.succeeds("revision", "finish", "canary");
    await areServed("canary", ["load.stock", "ratings.stock"]);
    expect(await Promise.all(namespaces.map(revisionOf))).toEqual(["", ""]);
    await areServed("default", ["details.orders"]);
    const refused = await world.weft("revision", "remove", "default");
    expect(refused.stderr).toMatch(/Pods that it injected run, and are to be made anew: details-\S+\.orders/);
    expect(refused.stderr).toMatch(/1 proxies are on it: details-\S+\.orders \(one\)/);
    await rollOut();
    await areServed("default", []);
    await world.succeeds("revision", "remove", "default");
    expect(await processes()).toEqual(before);
    await isUnhurt(begun);
    // What asks Istio's Service, for certificates or for webhooks, is answered by the other one.
    await world.kubectl("scale deployment ratings -n stock --replicas=2");
    await rollOut();
    await world.kubectl("rollout status deployment ratings -n stock --timeout=2m");
    await areServed("canary", ["details.orders", "load.stock", "ratings.stock", "ratings.stock"]);
    await isUnhurt(begun);
    expect(await world.install()).toContain("proxies are served by revision canary");
    const inMesh = "get configmaps -n istio-system --kubeconfig /etc/weft/mesh/kubeconfig";
    const kept = async (): Promise<string> =>
      world.kubectl(`exec -n istio-system deployment/istiod-canary -- weft ${inMesh}`);
    await eventually(
      "the mesh has nothing of the old revision",
      async () => !/^istio-sidecar-injector /m.test(await kept()),
      60_000,
    );
    expect(await kept()).toMatch(/^istio-sidecar-injector-canary /m);
    const left = (await world.kubectl("get deployments,services,mutatingwebhookconfigurations -A -o name")).split("\n");
    expect(left.filter((name) => /istiod|istio-/.test(name))).toEqual([
      "deployment.apps/istiod-canary",
      "service/istiod",
      "service/istiod-canary",
      "mutatingwebhookconfiguration.admissionregistration.k8s.io/istio-revision-tag-default",
      "mutatingwebhookconfiguration.admissionregistration.k8s.io/istio-sidecar-injector-canary",
    ]);
  });

  test("the load notices what breaks", async () => {
    const abort = { abort: { percentage: { value: 10 }, httpStatus: 503 } };
    const before = await world.load("stock");
    await world.kubectl("apply -f -", routeOf("stock", "ratings", abort));
    await eventually(
      "some fail",
      async () => {
        const { outcomes } = between(before, await world.load("stock"), "ratings");
        return (failures(outcomes)["503"] ?? 0) > 0;
      },
      patience,
    );
  });
});
