/** A real control plane, and Weft's own client of Kubernetes against it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Issuer } from "#identity/issuer.ts";
import { reviewToken } from "#identity/token-review.ts";
import { Client, type KindClient } from "#kube/client.ts";
import { type ApiRequest, type ApiResponse, Connection } from "#kube/connection.ts";
import { type Change, Reflector } from "#kube/reflector.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { Gate } from "./gate.ts";

const resources = new AsyncDisposableStack();
let cluster: Cluster;
let maps: KindClient<ConfigMap>;

beforeAll(async () => {
  cluster = resources.use(await startCluster({ name: "one" }));
  maps = cluster.api.client.of<ConfigMap>(configMap);
});
afterAll(() => resources.disposeAsync());

/** Makes a namespace of a test's own. */
async function makeNamespace(name: string): Promise<string> {
  await cluster.api.client.of(namespace).create({ metadata: { name } });
  return name;
}

const put = async (in_: string, name: string, labels = {}): Promise<ConfigMap> =>
  maps.create({ metadata: { name, namespace: in_, labels }, data: { name } });

/** A connection that remembers what was asked and answered. */
class Noted extends Connection {
  readonly notes: { readonly request: ApiRequest; readonly status: number }[] = [];
  /** Called before each request. */
  before: (request: ApiRequest) => Promise<void> = async () => undefined;

  override async send(request: ApiRequest): Promise<ApiResponse> {
    await this.before(request);
    const response = await super.send(request);
    this.notes.push({ request, status: response.status });
    return response;
  }
}

/** Makes etcd forget all but the present. */
async function compact(): Promise<void> {
  const answer = JSON.parse(await cluster.etcd("/v3/kv/range", { key: "AA==" })) as { header: { revision: string } };
  await cluster.etcd("/v3/kv/compaction", { revision: answer.header.revision });
}

/** Ends the API server at once and starts it again, which knows of no past then. */
async function restart(): Promise<void> {
  await cluster.controlPlane.apiServer.stop();
  cluster.controlPlane.apiServer.start();
  await cluster.ready();
}

/** A level of priority at which the API server does one thing at a time, and refuses others. */
const narrow = {
  apiVersion: "flowcontrol.apiserver.k8s.io/v1",
  kind: "PriorityLevelConfiguration",
  metadata: { name: "narrow" },
  spec: {
    type: "Limited",
    limited: {
      nominalConcurrencyShares: 0,
      lendablePercent: 0,
      borrowingLimitPercent: 0,
      limitResponse: { type: "Reject" },
    },
  },
};

/** Puts all that a user does at that level. */
function narrowed(user: string): object {
  const resources = { verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"] };
  return {
    apiVersion: "flowcontrol.apiserver.k8s.io/v1",
    kind: "FlowSchema",
    metadata: { name: "narrow" },
    spec: {
      priorityLevelConfiguration: { name: "narrow" },
      matchingPrecedence: 2,
      rules: [{ subjects: [{ kind: "User", user: { name: user } }], resourceRules: [resources] }],
    },
  };
}

describe("a cluster", () => {
  test("is ready, is of the version that was asked for, and has accounts", async () => {
    expect(await cluster.kubectl("get --raw /readyz")).toMatchObject({ code: 0, stdout: "ok" });
    expect((await cluster.kubectl("version")).stdout).toContain("Server Version: v1.36.3");
    expect((await cluster.kubectl("get serviceaccount default -o name")).stdout).toBe("serviceaccount/default\n");
  });

  test("runs its controllers: a Deployment gets its Pods, and a namespace goes with all that is in it", async () => {
    const run = async (line: string) =>
      expect(await cluster.kubectl(line, { patience: 130_000 })).toMatchObject({ code: 0 });
    await run("create namespace brief");
    await run("create deployment web --image=none --replicas=2 -n brief");
    const pods = async (): Promise<boolean> =>
      (await cluster.kubectl("get pods -n brief -o name")).stdout.split("\n").length === 3;
    await eventually("two Pods are made", pods, 60_000);
    await run("delete namespace brief --timeout=2m");
    expect((await cluster.kubectl("get namespace brief")).stderr).toContain("not found");
  });

  test("lets each caller do what its roles say", async () => {
    using stranger = new Connection(cluster.address({ name: "stranger" }), { clock: systemClock });
    const request = new Client(stranger).of(configMap).list({ namespace: "default" });
    await expect(request).rejects.toMatchObject({ code: "PermissionDenied" });
  });
});

describe("Weft's client lists", () => {
  const names = Array.from({ length: 1201 }, (_, index) => `m${String(index).padStart(4, "0")}`);
  const in_ = "many";

  beforeAll(async () => {
    await makeNamespace(in_);
    await Promise.all(names.map((name) => put(in_, name)));
  });

  test("many objects in pages, each of them once", async () => {
    using noted = new Noted(cluster.address(), { clock: systemClock });
    const { items } = await new Client(noted).of(configMap).list({ namespace: in_ });
    const listed = items.map(({ metadata }) => metadata.name).filter((name) => name !== "kube-root-ca.crt");
    expect(listed).toEqual(names);
    expect(noted.notes).toHaveLength(3);
  });

  test("all objects when the pages' revision is forgotten midway", async () => {
    using noted = new Noted(cluster.address(), { clock: systemClock });
    let forgotten = false;
    noted.before = async ({ query }) => {
      if (forgotten || query?.["continue"] === undefined) return;
      forgotten = true;
      await put(in_, "one-more");
      await compact();
      await restart();
    };
    const { items } = await new Client(noted).of(configMap).list({ namespace: in_ });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining([...names, "one-more"]));
    expect(noted.notes.map(({ status }) => status)).toEqual([200, 410, 200]);
  });

  test("many objects for each of some callers at once, when the server is too busy for more than one", async () => {
    const input = [narrow, narrowed("patient")].map((object) => JSON.stringify(object)).join("\n---\n");
    expect(await cluster.kubectl("apply -f -", { input })).toMatchObject({ code: 0 });
    await cluster.kubectl("create clusterrolebinding patient --clusterrole=view --user=patient");
    using connection = new Connection(cluster.address({ name: "patient" }), { clock: systemClock });
    const statuses = async (timeoutMs: number): Promise<readonly number[]> => {
      const request = { method: "GET", path: `/api/v1/namespaces/${in_}/configmaps`, timeoutMs } as const;
      return (await Promise.all([1, 2, 3, 4].map(() => connection.send(request)))).map(({ status }) => status);
    };
    // So short that there is no time to come back after a second: the refusal itself is seen.
    await eventually("the server refuses", async () => (await statuses(999)).includes(429), 60_000);
    expect(await statuses(60_000)).toEqual([200, 200, 200, 200]);
  });
});

describe("Weft's client watches", () => {
  interface Following extends AsyncDisposable {
    readonly gate: Gate;
    readonly changes: readonly string[];
  }

  /** Follows the ConfigMaps of a namespace over a way that can be cut. */
  async function follow(in_: string): Promise<Following> {
    const stack = new AsyncDisposableStack();
    const gate = stack.use(await Gate.to(cluster.address().url));
    const connection = stack.use(new Connection({ ...cluster.address(), url: gate.url }, { clock: systemClock }));
    const changes: string[] = [];
    const told = (change: Change<ConfigMap>): string =>
      change.kind === "sync"
        ? `sync ${change.objects.map(({ metadata }) => metadata.name).join(" ")}`.trim()
        : `${change.kind} ${change.object.metadata.name}`;
    const client = new Client(connection).of<ConfigMap>(configMap);
    const selection = { namespace: in_, labelSelector: "followed=yes" };
    const options = { client, selection, clock: systemClock, logger: silentLogger };
    const stop = new AbortController();
    const running = new Reflector(options, (change) => changes.push(told(change))).run(stop.signal);
    stack.defer(async () => {
      stop.abort();
      await running;
    });
    await eventually("the first state is told", () => changes.length === 1);
    return { gate, changes, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  const followed = { followed: "yes" };

  test("changes, and resumes a watch that was cut without listing again", async () => {
    const in_ = await makeNamespace("cut");
    await put(in_, "a", followed);
    await using following = await follow(in_);
    const { gate, changes } = following;
    await put(in_, "b", followed);
    await put(in_, "stranger");
    await eventually("b is told", () => changes.includes("put b"));
    gate.cut();
    await put(in_, "c", followed);
    await maps.delete({ namespace: in_, name: "a" });
    gate.mend();
    await eventually("what happened meanwhile is told", () => changes.length === 4, 60_000);
    expect(changes).toEqual(["sync a", "put b", "put c", "delete a"]);
  });

  test("the whole state again when the revision is gone, with what vanished", async () => {
    const in_ = await makeNamespace("gone");
    await put(in_, "a", followed);
    await put(in_, "b", followed);
    await using following = await follow(in_);
    const { gate, changes } = following;
    gate.cut();
    await maps.delete({ namespace: in_, name: "a" });
    await put(in_, "c", followed);
    await compact();
    await restart();
    gate.mend();
    await eventually("the state is told again", () => changes.length === 3, 60_000);
    expect(changes).toEqual(["sync a b", "delete a", "sync b c"]);
  });

  test("bookmarks, so that a quiet watch stays young", async () => {
    const in_ = await makeNamespace("quiet");
    const selection = { namespace: in_, labelSelector: "followed=yes" };
    const { resourceVersion } = await maps.list(selection);
    const last = Number((await put(in_, "stranger")).metadata.resourceVersion);
    // The server tells each minute how far a watch is.
    const told: number[] = [];
    for await (const event of maps.watch({ ...selection, resourceVersion, timeoutSeconds: 150 })) {
      if (event.kind === "bookmark") told.push(Number(event.resourceVersion));
      if (event.kind !== "bookmark" || Number(event.resourceVersion) >= last) break;
    }
    expect(told.at(-1)).toBeGreaterThanOrEqual(last);
  });
});

describe("tokens of service accounts", () => {
  const account = { namespace: "default", name: "caller" };
  const audience = "istio-ca";

  async function tokenFor(forAudience: string): Promise<string> {
    const body = { spec: { audiences: [forAudience], expirationSeconds: 600 } };
    const path = `/api/v1/namespaces/${account.namespace}/serviceaccounts/${account.name}/token`;
    const { status } = await cluster.api.client.json<{ status: { token: string } }>({ method: "POST", path, body });
    return status.token;
  }

  test("are accepted for their audience by review and by keys, and by neither for another", async () => {
    const { client } = cluster.api;
    const accounts = client.of(serviceAccount);
    await accounts.create({ metadata: account });
    const [token, other] = [await tokenFor(audience), await tokenFor("another")];
    const holder = { namespace: "default", serviceAccount: "caller" };
    const issuer = new Issuer(client, audience, systemClock);
    const refused = { code: "Unauthenticated" };
    const until = expect.toSatisfy((ms: number) => Math.abs(ms - systemClock.now() - 600_000) < 60_000) as number;
    expect(await reviewToken(client, token, audience)).toMatchObject(holder);
    expect(await issuer.check(token)).toEqual({ ...holder, until });
    await expect(reviewToken(client, other, audience)).rejects.toMatchObject(refused);
    await expect(issuer.check(other)).rejects.toMatchObject(refused);
    // Only the API itself knows that the account is gone.
    await accounts.delete(account);
    const gone = async (): Promise<boolean> =>
      (await reviewToken(client, token, audience).catch(() => "gone")) === "gone";
    await eventually("a token of an account that is gone is refused", gone, 60_000);
    await expect(reviewToken(client, token, audience)).rejects.toMatchObject(refused);
  });
});
