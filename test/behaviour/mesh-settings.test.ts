/** What settings of the whole mesh change in its proxies. Names of groups are those of Istio's reference "MeshConfig". */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Call } from "./caller.ts";
import { World } from "./world.ts";

let world: World;

beforeAll(async () => {
  world = await World.start("m", {
    mesh: {
      pathNormalization: { normalization: "DECODE_AND_MERGE_SLASHES" },
      inboundTrafficPolicy: { mode: "LOCALHOST" },
      inboundClusterStatName: "in_%SERVICE%_%SERVICE_PORT%_%TARGET_PORT%",
      outboundClusterStatName: "out_%SERVICE_FQDN%_%SERVICE_PORT_NAME%",
    },
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "server", labels: { app: "greeter" }, serves: true },
    ],
    services: [
      { name: "plain" },
      { name: "greeter", servedBy: ["server"] },
      { name: "echo", ports: [{ name: "tcp", port: 9000, to: "tcp" }] },
    ],
    istio: [],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

const send = (url: string, call?: Call) => world.caller("caller").send(`http://${url}`, call);

describe("ProxyPathNormalization", () => {
  test("DECODE_AND_MERGE_SLASHES decodes slashes and makes several one", async () => {
    expect((await send("plain:9080/a%2fb//c")).seen?.path).toBe("/a/b/c");
  });
});

describe("InboundTrafficPolicy", () => {
  test("LOCALHOST calls the application on its loopback", async () => {
    const { status, seen } = await send("greeter:9080/");
    // No Pod has that address, so the server does not know itself there.
    expect({ status, pod: seen?.pod }).toEqual({ status: 200, pod: "unknown" });
  });
});

describe("inboundClusterStatName", () => {
  test("names statistics of a workload's ports", async () => {
    await send("greeter:9080/");
    const count = await world.envoy("server").sumOf(/^cluster\.in_greeter\.shop_9080_8080;?\.upstream_rq_total$/);
    expect(count).toBeGreaterThan(0);
  });
});

describe("outboundClusterStatName", () => {
  test("names statistics of services", async () => {
    await send("plain:9080/");
    const name = /^cluster\.out_plain\.shop\.svc\.cluster\.local_http;?\.upstream_rq_total$/;
    expect(await world.envoy("caller").sumOf(name)).toBeGreaterThan(0);
  });

  test("names statistics of connections", async () => {
    const socket = await world.caller("caller").connect("echo", 9000);
    await once(socket, "data");
    const name = /^tcp\.out_echo\.shop\.svc\.cluster\.local_tcp\.downstream_cx_total$/;
    expect(await world.envoy("caller").sumOf(name)).toBe(1);
    socket.destroy();
  });
});
