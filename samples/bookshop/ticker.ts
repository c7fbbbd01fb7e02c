/**
 * The ticker: counts visits, over plain TCP on 9000. Each line `visit BOOK` is answered by one line of JSON. Readiness is
 * over HTTP on 9001.
 */
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { serveHealth } from "./health.ts";
import { log, readSettings } from "./instance.ts";
import { stopWell } from "./stopping.ts";

const settings = readSettings("ticker", 9000, process.env);
const visits = new Map<string, number>();
const sockets = new Set<Socket>();

/** Books that are counted; names beyond are refused, so that memory stays bounded. */
const maxBooks = 1000;
const idleMs = 60_000;

function answer(line: string): object {
  const [verb, book] = line.trim().split(" ");
  if (verb !== "visit" || book === undefined) return { error: `"${line.slice(0, 40)}": say "visit BOOK"` };
  if (!visits.has(book) && visits.size >= maxBooks) return { error: "too many books" };
  const count = (visits.get(book) ?? 0) + 1;
  visits.set(book, count);
  return { ...settings.instance, book, visits: count };
}

const server = createServer((socket) => {
  sockets.add(socket);
  socket.setTimeout(idleMs, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("close", () => sockets.delete(socket));
  createInterface({ input: socket }).on("line", (line) => {
    const said = answer(line);
    socket.write(`${JSON.stringify(said)}\n`);
    log(settings.instance, "line", { line: line.slice(0, 80) });
    if (stopping.begun) socket.end();
  });
});
const health = serveHealth(Number(settings.get("HEALTH_PORT", "9001")), () => !stopping.begun);
const stopping = stopWell(settings, async () => {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.end();
  });
  health.close();
});
server.listen(settings.port, "0.0.0.0", () => log(settings.instance, "serving", { port: settings.port }));
