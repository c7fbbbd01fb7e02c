/** The mesh's objects behind the API servers of two real clusters, with their controllers. */
import { request } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { virtualService } from "#api/istio/virtual-service.ts";
import { kinds } from "#api/kinds.ts";
import { memberServerName } from "#api/member-api.ts";
import type { ResourceObject } from "#api/meta.ts";
import { clientCases } from "#apiserver/testing/apply/client-cases.ts";
import { fieldCases } from "#apiserver/testing/apply/field-cases.ts";
import { listCases } from "#apiserver/testing/apply/list-cases.ts";
import { partCases } from "#apiserver/testing/apply/part-cases.ts";
import { refusalCases } from "#apiserver/testing/apply/refusal-cases.ts";
import { ownersOf, runApplyCase, type CaseClient } from "#apiserver/testing/apply/runner.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { NamespaceGuard } from "#controllers/aggregation/guard.ts";
import { obstacles } from "#controllers/aggregation/obstacles.ts";
import type { ApiRequest } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import type { Caller } from "./credentials.ts";
import { MeshApi } from "./mesh-api.ts";

const patience = 120_000;
/** Waits until all of the mesh's groups are served. */
const served = "wait apiservice -l app.kubernetes.io/component=mesh-api --for=condition=Available";
const resources = new AsyncDisposableStack();
let mesh: MeshApi;
let east: Cluster;
let west: Cluster;

interface Shape {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string; readonly ownerReferences?: object[] };
  readonly items: readonly ResourceObject[];
  readonly spec: object;
}

beforeAll(async () => {
  mesh = resources.use(await MeshApi.start());
  east = resources.use(await startCluster({ name: "east" }));
  west = resources.use(await startCluster({ name: "west" }));
  for (const cluster of [east, west]) {
    await mesh.join(cluster);
    await run(cluster, `${served} --timeout=2m`);
    await run(cluster, "create namespace shop");
  }
}, 300_000);
afterAll(() => resources.disposeAsync());

/** Runs kubectl, which must succeed. */
async function run(cluster: Cluster, line: string, input?: unknown): Promise<string> {
  const options = { patience, ...(input === undefined ? {} : { input: JSON.stringify(input) }) };
  const { code, stdout, stderr } = await cluster.kubectl(line, options);
  expect(`${line}: ${code} ${code === 0 ? "" : stderr}`).toBe(`${line}: 0 `);
  return stdout;
}

/** Runs kubectl, which must fail. */
async function fail(cluster: Cluster, line: string, input?: unknown): Promise<string> {
  const { code, stderr } = await cluster.kubectl(line, {
    patience,
    ...(input === undefined ? {} : { input: JSON.stringify(input) }),
  });
  expect(`${line}: ${code === 0}`).toBe(`${line}: false`);
  return stderr;
}

async function read(cluster: Cluster, what: string): Promise<Shape> {
  return JSON.parse(await run(cluster, `get ${what} -o json`)) as Shape;
}

async function exists(cluster: Cluster, what: string): Promise<boolean> {
  const { code, stderr } = await cluster.kubectl(`get ${what}`, { patience });
  if (code !== 0 && !stderr.includes("NotFound")) throw new Error(stderr);
  return code === 0;
}

function route(name: string, host: string, metadata: object = {}, namespace = "shop"): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name, namespace, ...metadata },
    spec: { hosts: [name], http: [{ route: [{ destination: { host } }] }] },
  };
}

/** A ConfigMap of a cluster that owns something. */
async function owner(cluster: Cluster, name: string): Promise<object> {
  await run(cluster, `create configmap ${name} -n shop`);
  const { metadata } = await read(cluster, `configmap/${name} -n shop`);
  return { apiVersion: "v1", kind: "ConfigMap", name, uid: metadata.uid };
}

describe("kubectl in each cluster", () => {
  test("writes one object, and a stale write is a conflict", async () => {
    await run(east, "apply -f -", route("reviews", "v1"));
    expect(await run(west, "get virtualservice reviews -n shop")).toMatch(
      /NAME +GATEWAYS +HOSTS +AGE\nreviews +\["reviews"\]/,
    );
    const stale = await read(west, "virtualservice/reviews -n shop");
    await run(west, "apply -f -", route("reviews", "v2"));
    expect((await read(east, "virtualservice/reviews -n shop")).spec).toEqual(
      (await read(west, "vs/reviews -n shop")).spec,
    );
    expect(await fail(east, "replace -f -", stale)).toContain("the object has been modified");
  });

  test("writes one object at the same time as the other, and neither loses what it wrote", async () => {
    await run(east, "apply -f -", route("contended", "v1"));
    const place = { namespace: "shop", name: "contended" };
    const marks = 20;
    let refused = 0;
    /** Adds marks of a cluster to what it reads, as often as it takes. */
    const add = async ({ api, name }: Cluster): Promise<void> => {
      const routes = api.client.of(virtualService);
      for (let mark = 1; mark <= marks; mark += 1) {
        for (;;) {
          const { metadata, ...found } = await routes.get(place);
          const annotations = { ...metadata.annotations, [`${name}/${mark}`]: "written" };
          try {
            await routes.replace({ ...found, metadata: { ...metadata, annotations } });
            break;
          } catch (error) {
            if (codeOf(error) !== "Conflict") throw error;
            refused += 1;
          }
        }
      }
    };
    await Promise.all([add(east), add(west)]);
    const { metadata } = await east.api.client.of(virtualService).get(place);
    const written = Object.keys(metadata.annotations ?? {}).filter((key) => /^(?:east|west)\//.test(key));
    expect(written).toHaveLength(2 * marks);
    expect(refused).toBeGreaterThan(0);
  });

  test("applies with managers, whose conflicts are the same in both", async () => {
    await run(east, "apply --server-side --field-manager=a -f -", route("managed", "v1"));
    const theirs = "apply --server-side --field-manager=b";
    expect(await fail(west, `${theirs} -f -`, route("managed", "v2"))).toContain('conflict with "a": .spec.http');
    await run(west, `${theirs} --force-conflicts -f -`, route("managed", "v2"));
    expect(await fail(east, "apply --server-side --field-manager=a -f -", route("managed", "v1"))).toContain(
      'conflict with "b"',
    );
  });

  test("watches what the other writes", async () => {
    const watching = Promise.withResolvers<void>();
    const watched = west.kubectl("get virtualservices -n shop --watch-only -o name -v=6", {
      patience,
      until: /virtualservice.networking.istio.io\/watched/,
      watching: watching.resolve,
    });
    await watching.promise;
    await run(east, "create -f -", route("watched", "v1"));
    expect((await watched).stdout).toContain("watched");
  });

  test("knows the kinds: what there are, their fields, and what a mistake is", async () => {
    const known = await run(west, "api-resources --api-group=networking.istio.io -o name");
    expect(known.split("\n")).toEqual(
      expect.arrayContaining(["gateways.networking.istio.io", "virtualservices.networking.istio.io"]),
    );
    await eventually(
      "fields are explained",
      async () => {
        const { stdout } = await west.kubectl("explain virtualservice.spec.hosts", { patience });
        return stdout.includes("FIELD: hosts");
      },
      patience,
    );
    await eventually(
      "the cluster's OpenAPI has the kinds",
      async () => {
        return (await run(west, "get --raw /openapi/v2")).includes('"kind":"VirtualService"');
      },
      patience,
    );
    const mistaken = { ...route("mistaken", "v1"), spec: { hostss: ["mistaken"] } };
    expect(await fail(east, "create -f -", mistaken)).toContain('unknown field "spec.hostss"');
  });
});

describe("a user", () => {
  test("may do in each cluster what its roles say", async () => {
    const asked = "get virtualservices -n shop --as=alice";
    expect(await fail(east, asked)).toContain('User "alice" cannot list resource "virtualservices"');
    await run(east, "create role reader -n shop --verb=get,list,watch --resource=virtualservices.networking.istio.io");
    await run(east, "create rolebinding reader -n shop --role=reader --user=alice");
    await eventually("the role holds", async () => (await east.kubectl(asked, { patience })).code === 0, patience);
    expect(await fail(east, "create --as=alice -f -", route("denied", "v1"))).toContain("cannot create resource");
    expect(await fail(east, "get gateways.networking.istio.io -n shop --as=alice")).toContain("cannot list");
    expect(await fail(west, asked)).toContain('User "alice" cannot list resource "virtualservices"');
  });

  test("cannot claim to be another past the cluster's API server", async () => {
    const ask = async (shown: {
      readonly certificate?: string;
      readonly key?: string;
    }): Promise<number | undefined> => {
      const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
      const options = {
        path: "/apis/networking.istio.io/v1/namespaces/shop/virtualservices",
        servername: memberServerName("east"),
        ...(mesh.server.members && { ca: mesh.server.members.authority }),
        ...(shown.certificate === undefined ? {} : { cert: shown.certificate, key: shown.key }),
        headers: { "X-Remote-User": "admin", "X-Remote-Group": "system:masters" },
        agent: false,
      };
      request(mesh.gate.url, options, (response) => resolve(response.resume().statusCode))
        .on("error", reject)
        .end();
      return promise;
    };
    const masters: Caller = { name: "front-proxy-client", groups: ["system:masters"] };
    expect(await ask({})).toBe(401);
    // Certificates of the cluster are for its API server alone, whatever name they have.
    expect(await ask(east.credentials.issue(masters))).toBe(401);
  });
});

describe("the garbage collector of each cluster", () => {
  test("deletes what its own objects own, and nothing that objects of another own", async () => {
    const inEast = await owner(east, "owner");
    await run(east, "create -f -", route("owned", "v1", { ownerReferences: [inEast] }));
    expect((await read(west, "vs/owned -n shop")).metadata.ownerReferences).toBeUndefined();
    // That the collector of west has seen all until now is shown by what it does collect.
    const gone = { apiVersion: "v1", kind: "ConfigMap", name: "none", uid: "00000000-0000-0000-0000-000000000000" };
    await run(west, "create -f -", route("orphan", "v1", { ownerReferences: [gone] }));
    await eventually("west collects", async () => !(await exists(west, "vs/orphan -n shop")), patience);
    expect(await exists(west, "vs/owned -n shop")).toBe(true);
    await run(east, "delete configmap owner -n shop");
    await eventually("east collects", async () => !(await exists(west, "vs/owned -n shop")), patience);
  });

  test("leaves what objects of another own too", async () => {
    const [inEast, inWest] = [await owner(east, "both"), await owner(west, "both")];
    await run(east, "create -f -", route("both", "v1", { ownerReferences: [inEast] }));
    const patch = JSON.stringify({ metadata: { ownerReferences: [inWest] } });
    await west.kubectl(["patch", "vs", "both", "-n", "shop", "--type=merge", "-p", patch], { patience });
    await run(east, "delete configmap both -n shop");
    const owners = async (cluster: Cluster): Promise<unknown> =>
      (await read(cluster, "vs/both -n shop")).metadata.ownerReferences;
    await eventually("east forgets its owner", async () => (await owners(east)) === undefined, patience);
    expect(await owners(west)).toEqual([inWest]);
    await run(west, "delete configmap both -n shop");
    await eventually("west collects", async () => !(await exists(east, "vs/both -n shop")), patience);
  });
});

describe("a namespace", () => {
  const inMesh = async (name: string): Promise<boolean> =>
    (
      await mesh.api.client.connection.send({
        method: "GET",
        path: `/apis/networking.istio.io/v1/namespaces/${name}/virtualservices/kept`,
      })
    ).status === 200;

  test.each([
    ["east", "west"],
    ["west", "east"],
  ])("that %s deletes first keeps its objects until %s does", async (first, last) => {
    const [one, other] = first === "east" ? [east, west] : [west, east];
    const name = `order-${last}`;
    for (const cluster of [east, west]) await run(cluster, `create namespace ${name}`);
    await run(one, "create -f -", route("kept", "v1", {}, name));
    await run(one, `delete namespace ${name} --timeout=2m`);
    expect(await exists(other, `vs/kept -n ${name}`)).toBe(true);
    await run(other, `delete namespace ${name} --timeout=2m`);
    expect(await inMesh(name)).toBe(false);
  });

  test("goes while the control plane is away, of which kubectl tells, and its objects when that is back", async () => {
    const stop = new AbortController();
    const options = { client: east.api.client, clock: systemClock, logger: silentLogger, patienceMs: 1_000 };
    const guarding = new NamespaceGuard(options).run(stop.signal);
    try {
      await run(east, "create namespace away");
      await run(east, "create -f -", route("kept", "v1", {}, "away"));
      mesh.gate.cut();
      await run(east, "wait apiservice/v1.networking.istio.io --for=condition=Available=False --timeout=2m");
      expect(await fail(east, "get vs -n away")).toMatch(/unable to handle the request|error trying to reach service/);
      await run(east, "delete namespace away --timeout=2m");
      mesh.gate.mend();
      await eventually("the mesh's objects go", async () => !(await inMesh("away")), patience);
      await eventually(
        "it is settled",
        async () => {
          const map = await read(east, "configmap/weft-departed-namespaces -n istio-system");
          return Object.keys((map as { readonly data?: object }).data ?? {}).length === 0;
        },
        patience,
      );
      await run(east, `${served} --timeout=2m`);
    } finally {
      mesh.gate.mend();
      stop.abort();
      await guarding;
    }
  });
});

/** Kubernetes' own kinds by Kubernetes itself, which shows that the rows say what it does; the mesh's behind it. */
describe("server-side apply in a cluster", () => {
  // It would have fields of its own in the Deployments.
  beforeAll(() => east.controlPlane.controllerManager.stop());
  const client: CaseClient = async (method, path, contentType, body) => {
    const asked = {
      method: method as ApiRequest["method"],
      path,
      ...(body === undefined ? {} : { body, contentType }),
    };
    const { status, body: answer } = await east.api.client.connection.send(asked);
    return { status, json: JSON.parse(answer.toString()) };
  };
  const rows = [...fieldCases, ...listCases, ...partCases, ...clientCases, ...refusalCases];
  const theirs = rows.filter(({ own }) => own === undefined);

  test.each(theirs.map((row, at) => [row.name, row, at] as const))("%s", async (_, row, at) => {
    const { object, owners } = await runApplyCase(client, row, "shop", `case-${at}`);
    expect(object).toMatchObject(row.object);
    expect(owners).toEqual(ownersOf(row));
  });
});

test("a definition of Istio's in a cluster is found", async () => {
  const group = "networking.istio.io";
  const names = { plural: "gateways", singular: "gateway", kind: "Gateway", listKind: "GatewayList" };
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  await run(west, "create -f -", {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "gateways.networking.istio.io" },
    spec: { group, names, scope: "Namespaced", versions: [{ name: "v1", served: true, storage: true, schema }] },
  });
  const definitions = (await read(west, "customresourcedefinitions")).items;
  const apiServices = (await read(west, "apiservices")).items;
  expect(obstacles("west", kinds, { definitions, apiServices })).toMatchObject([
    { code: "DefinitionInTheWay", resource: { name: "gateways.networking.istio.io", cluster: "west" } },
  ]);
  expect(obstacles("west", kinds, { definitions: [], apiServices })).toEqual([]);
});
