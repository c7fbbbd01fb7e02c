/** Rejects what `rooms.json` allows and nobody uses, and rooms that have no file. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Rules {
  readonly may: readonly string[];
}

const root = join(import.meta.dirname, "..");
const { rooms } = JSON.parse(readFileSync(join(root, "rooms.json"), "utf8")) as { rooms: Record<string, Rules> };
const problems: string[] = [];

function importsOf(room: string): Set<string> {
  const found = new Set<string>();
  const folder = join(root, "src", room);
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".ts") || entry.startsWith("gen/")) continue;
    const text = readFileSync(join(folder, entry), "utf8");
    for (const [, target = "", file] of text.matchAll(/["']#([a-z]+)\/([^"']+)["']/g)) {
      found.add(target);
      if (file === "port.ts") found.add(`${target}:port`);
    }
  }
  return found;
}

for (const [room, { may }] of Object.entries(rooms)) {
  if (!existsSync(join(root, "src", room))) {
    problems.push(`room '${room}' has no file: remove it from rooms.json until it has`);
    continue;
  }
  const used = importsOf(room);
  for (const allowed of may) {
    if (allowed !== "*" && !used.has(allowed))
      problems.push(`'${room}' may import '${allowed}' but does not: remove it from rooms.json`);
  }
}
for (const room of readdirSync(join(root, "src"))) if (!rooms[room]) problems.push(`src/${room} is not in rooms.json`);
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
