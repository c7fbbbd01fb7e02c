/** Clusters that serve the mesh's Istio objects because they joined, against real API servers and the real programs. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { clusterRole, clusterRoleBinding, role, roleBinding } from "#api/kubernetes/rbac.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { service } from "#api/kubernetes/service.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { deployment } from "#api/kubernetes/deployment.ts";
import { apiServiceKind, definitionKind } from "#controllers/aggregation/installation.ts";
import { mutatingKind } from "#controllers/install/resources.ts";
import { command } from "#runtime/command.ts";
import { inside, ipBatch, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { JoinedMesh } from "./joined-mesh.ts";
import { ClusterNetwork } from "./network.ts";

const patience = 120_000;
const resources = new AsyncDisposableStack();
let mesh: JoinedMesh;
let east: Cluster;
let west: Cluster;

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("objects"));
  // API servers reach the mesh's by its address: no kube-proxy runs where they do.
  const apiServer = ["--enable-aggregator-routing=true"];
  east = resources.use(await startCluster({ name: "east", network, apiServer }));
  west = resources.use(await startCluster({ name: "west", network, apiServer, pods: "10.65.0.0/16" }));
  mesh = resources.use(await JoinedMesh.start(network));
}, 300_000);
afterAll(() => resources.disposeAsync());

async function run(cluster: Cluster, line: string, input?: unknown): Promise<string> {
  const text = input === undefined ? {} : { input: JSON.stringify(input) };
  const { code, stdout, stderr } = await cluster.kubectl(line, { patience, ...text });
  if (code !== 0) throw new Error(`kubectl ${line}: ${stderr}\n${mesh.server.log.slice(-2000)}`);
  return stdout;
}

/** All that a join could leave behind. */
async function traces(cluster: Cluster): Promise<readonly string[]> {
  const kinds = [
    namespaceKind,
    serviceAccount,
    configMap,
    service,
    deployment,
    clusterRole,
    clusterRoleBinding,
    role,
    roleBinding,
    endpointSlice,
    mutatingKind,
    apiServiceKind,
    definitionKind,
  ];
  const lists = kinds.map(async (kind) => {
    const { items } = await cluster.api.client.of(kind).list();
    return items.map(({ metadata }) => `${kind.kind} ${metadata.namespace ?? ""}/${metadata.name}`);
  });
  return (await Promise.all(lists)).flat().toSorted();
}

const route = (host: string): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "reviews", namespace: "default" },
  spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host } }] }] },
});

const destination = "get virtualservice reviews -o jsonpath={.spec.http[0].route[0].destination.host}";

test("a cluster with a control plane of its own, and one whose API server does not reach the mesh's, have no Pods injected unawares", async () => {
  const istiod = "service istiod -n istio-system";
  await run(east, "create namespace istio-system");
  await run(east, `create service clusterip istiod -n istio-system --tcp=15012`);
  const own = `add east --kubeconfig ${mesh.kubeconfigOf(east)} --server ${east.internalUrl}`;
  const foreign = await mesh.weft(own);
  expect(foreign.out).toMatch(/!! {2}injection .*Service istiod that is not of the mesh.*--no-control-plane/);
  expect(foreign.code).toBe(1);
  expect(await run(east, "get serviceaccounts -n istio-system -o name")).not.toContain("weft");
  await run(east, `delete ${istiod}`);
  // API servers keep the connections that they have: this one has none to a control plane yet.
  const away = await mesh.weft(`${own} --control-plane-host 10.255.255.1 --timeout 15`);
  expect(away.out).toMatch(/no Pod of the cluster would be injected after 15 s .*failed calling webhook/);
  expect(away.code).toBe(1);
  expect(await run(east, "get services,endpointslices,mutatingwebhookconfigurations -n istio-system -o name")).toBe("");
  const told = await mesh.add(east, "--no-control-plane");
  expect(told).toContain("injection   its Pods are not to be injected");
  const made =
    "get services,mutatingwebhookconfigurations -n istio-system -l app.kubernetes.io/component=control-plane";
  const objects = [
    "service/istiod",
    "mutatingwebhookconfiguration.admissionregistration.k8s.io/istio-sidecar-injector",
  ];
  const kubeconfig = `--kubeconfig ${mesh.kubeconfigOf(east)}`;
  for (const [flags, wanted] of [
    [" --no-control-plane", []],
    ["", objects],
    ["", objects],
    [" --no-control-plane", []],
  ] as const) {
    await mesh.succeeds(`update east ${kubeconfig}${flags}`);
    expect((await run(east, `${made} -o name`)).split("\n").filter(Boolean)).toEqual(wanted);
  }
});

/** Says in the mesh's API by what address its parts are reached, as they do when they are started with another `--members-host`. */
async function tellAddress(address: string): Promise<void> {
  const maps = mesh.api.client.of<ConfigMap>(configMap);
  for (const [name, key] of [
    ["weft-members-api", "host"],
    ["weft-control-plane-default", "hosts"],
  ] as const) {
    const place = { namespace: "istio-system", name };
    expect((await maps.get(place)).data).toHaveProperty(key);
    await maps.patch(place, { kind: "merge", body: { data: { [key]: address } } });
  }
}

const injectedPod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "asked", namespace: "default", labels: { "sidecar.istio.io/inject": "true" } },
  spec: { containers: [{ name: "app", image: "none" }] },
};

test("a mesh whose address has changed is reached by a member again once that is updated", async () => {
  const update = `update east --kubeconfig ${mesh.kubeconfigOf(east)}`;
  const ask = "create --dry-run=server -f - -o jsonpath={.metadata.annotations}";
  const { namespace, address } = mesh.host;
  const moved = "10.10.9.9";
  await mesh.succeeds(update);
  await run(east, "apply -f -", route("v1"));
  expect(await run(east, ask, injectedPod)).toContain("sidecar.istio.io/status");
  await ipBatch(namespace, [`address add ${moved}/20 dev eth0`]);
  const refused = ["-d", address, "-p", "tcp", "-m", "multiport", "--dports", "15443,15017"];
  const rule = [...refused, "-j", "REJECT", "--reject-with", "tcp-reset"];
  const iptables = async (how: string): Promise<unknown> =>
    command(inside(namespacePath(namespace), ["iptables", how, "INPUT", ...rule]));
  await iptables("-I");
  await eventually("east does not reach the mesh's API", async () => {
    return (await east.kubectl(destination, { patience })).code !== 0;
  });
  const lost = await east.kubectl(ask, { patience, input: JSON.stringify(injectedPod) });
  expect(lost.stderr).toContain("failed calling webhook");
  await tellAddress(moved);
  expect(await mesh.succeeds(update)).toContain("east has what the mesh tells now");
  expect(await run(east, destination)).toBe("v1");
  expect(await run(east, ask, injectedPod)).toContain("sidecar.istio.io/status");
  const slices = "get endpointslices -n istio-system -o jsonpath={.items[*].endpoints[*].addresses[*]}";
  expect(new Set((await run(east, slices)).split(" "))).toEqual(new Set([moved]));
  await iptables("-D");
  await tellAddress(address);
  await run(east, "delete virtualservice reviews");
  await mesh.remove(east);
  await run(east, "delete namespace istio-system --wait");
});

test("clusters that join serve the mesh's objects, live, and leave without a trace", async () => {
  const before = await traces(east);
  expect(await mesh.add(east, "--guard-image weft.dev/test/weft:1")).toContain(
    "wait until its API server finds the mesh's",
  );
  await mesh.add(west);
  expect(
    (
      await mesh.api.connection.send({ method: "GET", path: "/apis/mesh.weft.dev/v1alpha1/clusters/east" })
    ).body.toString(),
  ).toContain('"istioObjects":"Aggregated"');
  await run(east, "apply -f -", route("v1"));
  expect(await run(west, destination)).toBe("v1");
  await run(west, "apply -f -", route("v2"));
  expect(await run(east, destination)).toBe("v2");
  expect(
    await run(
      east,
      "get deployment weft-guard -n istio-system -o jsonpath={.spec.template.spec.containers[0].command}",
    ),
  ).toBe('["weft","guard","--api","in-cluster"]');
  // The account is the control plane's own, with no right that it does not need.
  const account = "--as system:serviceaccount:istio-system:weft-control-plane";
  expect(
    (await east.kubectl(`auth can-i create subjectaccessreviews.authorization.k8s.io ${account}`)).stdout.trim(),
  ).toBe("yes");
  expect((await east.kubectl(`auth can-i delete apiservices.apiregistration.k8s.io ${account}`)).stdout.trim()).toBe(
    "no",
  );

  // A server that is started again serves them as before.
  await mesh.server.stop();
  const away = await east.kubectl("get virtualservices", { patience });
  expect(away.stderr).toMatch(/unable to handle the request|trying to reach service/);
  mesh.server.start();
  await eventually(
    "east serves the mesh's objects again",
    async () => (await east.kubectl(destination, { patience })).stdout === "v2",
    patience,
  );

  await mesh.remove(east);
  await eventually(
    "nothing of the mesh is in east",
    async () => {
      expect(await traces(east)).toEqual(before);
      return true;
    },
    patience,
  );
  const gone = (await east.kubectl("get virtualservices", { patience })).stderr;
  expect(gone).toMatch(/could not find the requested resource|doesn't have a resource type/);
  expect(await run(west, destination)).toBe("v2");
});

test("a cluster with Istio's definitions does not join unless it is to keep them", async () => {
  const names = { plural: "gateways", singular: "gateway", kind: "Gateway", listKind: "GatewayList" };
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  await run(east, "create -f -", {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "gateways.networking.istio.io" },
    spec: {
      group: "networking.istio.io",
      names,
      scope: "Namespaced",
      versions: [{ name: "v1", served: true, storage: true, schema }],
    },
  });
  const before = await traces(east);
  const own = `--kubeconfig ${mesh.kubeconfigOf(east)} --server ${east.internalUrl}`;
  const { out, code } = await mesh.weft(`add east ${own}`);
  expect(out).toMatch(/!! {2}objects .*gateways\.networking\.istio\.io.*--istio-objects None/);
  expect(code).toBe(1);
  expect(await traces(east)).toEqual(before);
  await mesh.add(east, "--istio-objects None");
  expect(await run(east, "get apiservices -l app.kubernetes.io/component=mesh-api -o name")).toBe("");
  await mesh.remove(east);
});

test("a join whose API server does not reach the mesh's takes back what it did", async () => {
  await run(east, "delete crd gateways.networking.istio.io");
  await eventually(
    "its APIService is gone",
    async () => !(await run(east, "get apiservices -o name")).includes("istio.io"),
    patience,
  );
  const before = await traces(east);
  const own = `--kubeconfig ${mesh.kubeconfigOf(east)} --server ${east.internalUrl}`;
  const { out, code } = await mesh.weft(`add east ${own} --members-address ${mesh.host.address}:9 --timeout 15`);
  expect(out).toMatch(/does not reach the mesh's API after 15 s .*--members-address/);
  expect(code).toBe(1);
  await eventually(
    "nothing of the mesh is in east",
    async () => {
      expect(await traces(east)).toEqual(before);
      return true;
    },
    patience,
  );
});
