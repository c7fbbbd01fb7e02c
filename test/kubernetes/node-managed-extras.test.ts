/** What Pods with node-managed sidecars get beside them: names, metrics in one list, and agents that can harm no other node. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { eventually } from "../support/eventually.ts";
import { ManagedWorld, namespaceOf, podOf } from "./managed-world.ts";

let world: ManagedWorld;

const files = "mkdir -p /tmp/www && echo hello > /tmp/www/index.html && echo 'own_metric 7' > /tmp/www/metrics";

/** A Pod that answers at 8080, with metrics of its own. */
function serverPod(namespace: string, name: string, annotations: Readonly<Record<string, string>> = {}): object {
  const argv = ["sh", "-c", `${files} && exec httpd -f -p 8080 -h /tmp/www`];
  return podOf(namespace, name, { containers: [world.container("server", argv)] }, { annotations });
}

const asking = {
  "proxy.istio.io/config": JSON.stringify({ proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } }),
  "prometheus.io/scrape": "true",
  "prometheus.io/port": "8080",
};

const curl = (url: string): readonly string[] => [
  "curl",
  "--silent",
  "--show-error",
  "--fail",
  "--max-time",
  "10",
  url,
];

beforeAll(async () => {
  world = await ManagedWorld.start("extras");
  await world.apply(namespaceOf("plain"), namespaceOf("shop", { "mesh.weft.dev/sidecar": "node" }));
  await world.apply(serverPod("plain", "stranger"));
  await world.kubectl("wait pod -n plain stranger --for=condition=Ready --timeout=2m");
  await world.mesh.api.namespaces.create({ metadata: { name: "shop" } }).catch(() => undefined);
  await world.mesh.api.client.of(serviceEntry).create({
    metadata: { namespace: "shop", name: "api" },
    spec: {
      hosts: ["api.example.com"],
      addresses: ["240.240.0.9"],
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
      resolution: "STATIC",
      location: "MESH_EXTERNAL",
      endpoints: [{ address: await world.addressOf("plain", "stranger") }],
    },
  });
  await world.apply(serverPod("shop", "asking", asking), serverPod("shop", "other"));
  for (const pod of ["asking", "other"]) await world.joined("shop", pod);
});
afterAll(() => world[Symbol.asyncDispose]());

describe("a Pod that asks for it by Istio's annotations", () => {
  const api = "http://api.example.com/index.html";

  test("finds hosts of the mesh by name, and all other names as before; one that does not ask finds those alone", async () => {
    const run = world.inPod("shop", "asking");
    await world.orLog(eventually("the name is known", async () => (await run(curl(api))) === "hello"));
    const known = ["nslookup", "-type=a", "istiod.istio-system.svc.cluster.local"];
    const address = await world.kubectl("get service -n istio-system istiod -o jsonpath={.spec.clusterIP}");
    for (const pod of ["asking", "other"]) expect(await world.inPod("shop", pod)(known)).toContain(address);
    await expect(world.inPod("shop", "other")(curl(api))).rejects.toThrow(/resolve/);
  });

  test("has its metrics and its proxy's in one list; one that does not ask has its proxy's", async () => {
    const stranger = world.inPod("plain", "stranger");
    const of = async (pod: string): Promise<string> =>
      stranger(curl(`http://${await world.addressOf("shop", pod)}:15020/stats/prometheus`));
    const both = await eventually("the list is whole", async () => {
      const list = await of("asking");
      return list.includes("own_metric 7") ? list : undefined;
    });
    expect(both).toMatch(/^envoy_server_uptime/m);
    const own = await of("other");
    expect(own).toMatch(/^envoy_server_uptime/m);
    expect(own).not.toContain("own_metric");
  });

  test("finds them while the node's agent is away, as do Pods that are made after it", async () => {
    await world.stopAgent();
    expect(await world.inPod("shop", "asking")(curl(api))).toBe("hello");
    await world.startAgent();
    await world.apply(serverPod("shop", "later", asking));
    await world.joined("shop", "later");
    for (const pod of ["asking", "later"]) {
      const run = world.inPod("shop", pod);
      await world.orLog(eventually("the name is known", async () => (await run(curl(api))) === "hello"));
    }
  });

  test("finds them no more once it has left, and nothing is left on the node", async () => {
    await world.kubectl("label namespace shop mesh.weft.dev/sidecar-");
    const pods = ["asking", "later", "other"];
    const haveLeft = async (): Promise<boolean> =>
      (await Promise.all(pods.map(async (pod) => world.captured("shop", pod)))).every((state) => state === "");
    await world.orLog(eventually("they have left", haveLeft, 120_000));
    const run = world.inPod("shop", "asking");
    await expect(run(curl(api))).rejects.toThrow(/resolve/);
    expect(await run(["nslookup", "-type=a", "istiod.istio-system.svc.cluster.local"])).toContain("Address");
    const programs = async (): Promise<string> =>
      world.node.run(["sh", "-c", "cat /proc/[0-9]*/cmdline 2>&1 | tr '\\0' ' '"]);
    await eventually("the name server has ended", async () => !(await programs()).includes("dns-main.ts"));
  });
});

describe("an agent", () => {
  const agent = [
    "--as=system:serviceaccount:istio-system:weft-agent",
    "--as-user-extra=authentication.kubernetes.io/node-name=n1",
  ];
  const attempt = async (...line: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await world.cluster.kubectl([...line, ...agent], { patience: 60_000 });
    return `${stdout}${stderr}`;
  };
  const mode = "security.istio.io/tlsMode=istio";

  test("writes Pods of its own node alone, and of their labels the one that tells of their sidecars", async () => {
    await world.apply({
      ...podOf("plain", "elsewhere", { nodeName: "n2", containers: [world.container("none", ["true"])] }),
    });
    const label = (pod: string, text: string) => attempt("label", "pod", "-n", "plain", pod, text, "--overwrite");
    expect(await label("stranger", mode)).toContain("labeled");
    expect(await label("stranger", "app=bank")).toContain("of labels, an agent writes security.istio.io/tlsMode alone");
    expect(await label("elsewhere", mode)).toContain("an agent writes Pods of its own node alone");
    expect(await attempt("annotate", "pod", "-n", "plain", "stranger", "a=b")).toContain(
      "an agent writes no annotations",
    );
    expect(await attempt("get", "secrets", "-n", "istio-system")).toContain("forbidden");
  });
});
