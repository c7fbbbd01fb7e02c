/** The xDS server over a mesh, as a process that a benchmark forks: `node bench/xds-server.ts MESH SERVICES NAMESPACES`. */
import { systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { createXdsServer } from "#xds/server.ts";
import { serveMeasurements, type ServerAnswer } from "./measured.ts";
import { meshes, type MeshName } from "./meshes.ts";

const [, , name = "translated", services = "1000", namespaces = "20"] = process.argv;
const started = performance.now();
const mesh = meshes[name as MeshName]({ services: Number(services), namespaces: Number(namespaces) });
const server = await createXdsServer({
  source: mesh.source,
  engine: mesh.engine,
  clock: systemClock,
  logger: jsonLogger({ level: "error", write: (line) => console.error(line), now: () => Date.now() }),
  listen: [{ host: "127.0.0.1", port: 0 }],
  drainMs: 0,
});
serveMeasurements(
  () => ({ ...server.figures() }),
  (kind, generation) => mesh.change(kind, generation),
  async () => {
    await server[Symbol.asyncDispose]();
  },
);
const [address] = server.addresses;
const ready: ServerAnswer = {
  kind: "ready",
  port: address && "port" in address ? address.port : 0,
  startMs: performance.now() - started,
};
process.send?.(ready);
