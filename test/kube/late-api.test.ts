/** A control plane that starts while the mesh's API is away. */
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startTestServer } from "#apiserver/testing/server.ts";
import { silentLogger } from "#base/logger.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

test("serves nobody before it has read the mesh, however long that takes: proxies would lose what they hold", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "weft-late-api-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, "mesh.sock");
  const asked = new Map<string, number>();
  const away = createServer(({ url = "" }, response) => {
    const path = url.split("?")[0] ?? "";
    asked.set(path, (asked.get(path) ?? 0) + 1);
    response.writeHead(503).end("{}");
  }).listen(socketPath);
  stack.defer(() => void away.close());
  await once(away, "listening");

  const tcp = { host: "127.0.0.1", port: 0 };
  const endpoints = [{ name: "mesh", view: "mesh", partition: "mesh", listen: [tcp, { socketPath }] }] as const;
  const limits = { meshApi: `unix://${socketPath}`, startLimitMs: 1 };
  const served = (): boolean => existsSync(join(folder, "ads.sock"));
  stack.use(startDiscovery({ url: () => limits.meshApi }, folder, limits, silentLogger, hastyClock(5)));
  const services = "/apis/networking.istio.io/v1/virtualservices";
  await eventually("it has asked again and again", () => (asked.get(services) ?? 0) > 3, 60_000);
  expect(served()).toBe(false);

  await once(away.close(), "close");
  stack.use(await startTestServer({ endpoints }));
  await eventually("it serves", served, 60_000);
}, 120_000);
