/**
 * A process that writes to a store as fast as it can and says on its standard output which writes were acknowledged:
 * `node writer.ts DATABASE ROUND`. It ends when it is killed.
 */
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { openSqliteStore } from "../sqlite.ts";

const [path = "", round = "0"] = process.argv.slice(2);
const store = await openSqliteStore({ path, clock: systemClock, logger: silentLogger });

async function write(lane: number): Promise<never> {
  for (let count = 0; ; count += 1) {
    const name = `lane-${lane}`;
    const key = { partition: "mesh", resource: "things", namespace: "", name };
    const object = {
      apiVersion: "v1",
      kind: "Thing",
      metadata: { name, uid: name, resourceVersion: "", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z" },
      value: `${round}-${count}`,
    };
    const { revision } = await store.put(key, object, { kind: "any" });
    process.stdout.write(`${revision} ${name} ${round}-${count}\n`);
    if (lane === 0 && count % 20 === 19) await store.compact(revision - 10);
  }
}

await Promise.all([0, 1, 2, 3].map((lane) => write(lane)));
