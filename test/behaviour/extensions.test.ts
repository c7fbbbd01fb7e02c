/**
 * Modules and scripts that filter what proxies handle. Names of groups are headings and fields of Istio's references
 * "Wasm Plugin" and "Traffic Extension".
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { headerModule } from "./wasm-module.ts";
import { World } from "./world.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-modules-"));
const path = join(folder, "header.wasm");

function plugin(name: string, spec: string): string {
  return `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: ${name} }
spec: ${spec}`;
}

function script(name: string, place: string): string {
  const code = `function envoy_on_request(handle) handle:headers():add('x-order', '${name}') end`;
  return `
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: { name: ${name} }
spec: { ${place}, lua: { inlineCode: "${code}" } }`;
}

let world: World;

beforeAll(async () => {
  chmodSync(folder, 0o755);
  writeFileSync(path, headerModule("x-wasm", "on"), { mode: 0o644 });
  world = await World.start("ext", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "server", labels: { app: "server" }, serves: true },
    ],
    services: [
      { name: "page" },
      { name: "server", servedBy: ["server"] },
      { name: "ported", ports: [{ name: "http", port: 9085, to: "http" }] },
      {
        name: "guarded",
        ports: [
          { name: "http", port: 9086, to: "http" },
          { name: "http-open", port: 9087, to: "http" },
        ],
      },
      { name: "tcp", ports: [{ name: "tcp", port: 9090, to: "tcp" }] },
    ],
    istio: [
      plugin(
        "served",
        `{ url: "file://${path}", selector: { matchLabels: { app: server } }, match: [{ mode: SERVER }] }`,
      ),
      plugin("ported", `{ url: "file://${path}", match: [{ mode: CLIENT, ports: [{ number: 9085 }] }], phase: AUTHZ }`),
      plugin("bytes", `{ url: "file://${path}", type: NETWORK, match: [{ mode: CLIENT, ports: [{ number: 9090 }] }] }`),
      plugin(
        "fetched",
        '{ url: "https://modules.example.com/a.wasm", imagePullSecret: key, match: [{ mode: CLIENT, ports: [{ number: 9086 }] }] }',
      ),
      plugin(
        "missed",
        '{ url: "oci://modules.example.com/a", failStrategy: FAIL_OPEN, match: [{ mode: CLIENT, ports: [{ number: 9087 }] }] }',
      ),
      script("last", "match: [{ mode: CLIENT }]"),
      script("urgent", "match: [{ mode: CLIENT }], priority: 7"),
      script("early", "match: [{ mode: CLIENT }], phase: AUTHN"),
      script("stats", "match: [{ mode: CLIENT }], phase: STATS, priority: -1"),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function header(name: string, url: string): Promise<string | undefined> {
  const { seen, status, text } = await world.caller("caller").send(`http://${url}`);
  if (!seen) throw new Error(`no backend answered: ${status} ${text}`);
  return seen.headers[name];
}

describe("WasmPlugin", () => {
  test("selector and match: mode SERVER is what comes in", async () => {
    expect(await header("x-wasm", "server:9080/")).toBe("on");
    expect(await header("x-wasm", "page:9080/")).toBeUndefined();
  });

  test("match: mode CLIENT is what goes out, here to one port", async () => {
    expect(await header("x-wasm", "ported:9085/")).toBe("on");
  });

  test("type NETWORK filters bytes, which go on", async () => {
    const socket = await world.caller("caller").connect("tcp", 9090);
    const [chunk] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    expect(String(chunk)).toMatch(/^tcp-v1-/);
    const listeners = await world.envoy("caller").admin("GET", "/config_dump?resource=dynamic_listeners");
    expect(listeners.match(/filters\.network\.wasm\.v3\.Wasm/g)).toHaveLength(1);
  });

  test("modules that would have to be fetched are findings", () => {
    expect(world.findings("WasmPlugin", "fetched")).toEqual([
      "NotImplemented spec.url",
      "NotImplemented spec.imagePullSecret",
    ]);
    expect(world.findings("WasmPlugin", "served")).toEqual([]);
  });

  test("failStrategy says whether traffic goes on without such a module", async () => {
    expect((await world.caller("caller").send("http://guarded:9086/")).status).toBe(403);
    expect((await world.caller("caller").send("http://guarded:9087/")).status).toBe(200);
  });
});

describe("TrafficExtension", () => {
  test("Lua; phase, then priority, says which comes first", async () => {
    expect(await header("x-order", "page:9080/")).toBe("early, stats, urgent, last");
  });
});
