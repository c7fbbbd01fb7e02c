/**
 * What it costs the production server to bring 1, 100 and 1,000 proxies their configuration, and one change; beside
 * istiod's figures and a bare grpc-js server that sends the same bytes, turn by turn.
 * `node bench/xds.ts [--proxies 1,100] [--changes 3] [--rest 10]`; the last line is JSON.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sees } from "./expected.ts";
import { printFigures, progress } from "./figures.ts";
import { type ChangeCost, type Measured, Subject, type SyncCost } from "./measured-server.ts";
import { recordingOf } from "./recording.ts";
import { changeKinds, type ServedScale } from "./served.ts";
import { rowsOf } from "./xds-table.ts";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    namespaces: { type: "string", default: "20" },
    sidecars: { type: "string", default: "4" },
    proxies: { type: "string", default: "1,100,1000" },
    changes: { type: "string", default: "5" },
    rest: { type: "string", default: "60" },
  },
});
const scale: ServedScale = {
  services: Number(values.services),
  namespaces: Number(values.namespaces),
  sidecars: Number(values.sidecars),
};

/** The service that is changed: in the first namespace, so that some proxies behind a Sidecar are told too. */
const changed = 0;

/** The workloads of so many proxies; one alone is of a namespace without a Sidecar. */
function numbersOf(count: number): readonly number[] {
  return count === 1 ? [scale.namespaces - 1] : Array.from({ length: count }, (_, number) => number);
}

/** Syncs both servers, lets them rest, and changes something of each by turns. */
async function measure(file: string, count: number): Promise<Readonly<Record<"weft" | "bare", Measured>>> {
  const numbers = numbersOf(count);
  await using weft = await Subject.weft(scale, changed);
  await using bare = await Subject.bare(scale, file);
  const subjects = [weft, bare] as const;
  const say = (what: string): void => progress(`xds, ${count} proxies: ${what}`);
  const syncs: SyncCost[] = [];
  for (const subject of subjects) {
    const cost = await subject.sync(numbers);
    say(
      `${subject.name}: full sync took ${cost.cpuMs.toFixed(0)} ms of CPU, the last after ${cost.lastMs.toFixed(0)} ms`,
    );
    syncs.push(cost);
  }
  // What memory comes down to a minute later is asked of many: with few it is that of the mesh, at once.
  const seconds = count < 1000 ? Math.min(10, Number(values.rest)) : Number(values.rest);
  say(`memory after ${seconds} s`);
  const rests = await Promise.all(subjects.map((subject) => subject.rest(seconds * 1000)));
  const reached = numbers.filter((number) => sees(number, changed, scale)).length;
  const costs = subjects.map(() => ({ route: [] as ChangeCost[], endpoints: [] as ChangeCost[] }));
  for (const kind of changeKinds) {
    // The first one warms up.
    for (let turn = 0; turn <= Number(values.changes); turn += 1) {
      for (const [at, subject] of subjects.entries()) {
        const cost = await subject.change(kind, turn + 1, reached);
        say(`${subject.name}: ${kind} changed: ${cost.cpuMs.toFixed(0)} ms of CPU, P99 ${cost.p99.toFixed(0)} ms`);
        if (turn > 0) costs[at]?.[kind].push(cost);
      }
    }
  }
  for (const subject of subjects) await subject.check();
  const [one, two] = subjects.map((_, at): Measured => {
    const [sync, rest, changes] = [syncs[at], rests[at], costs[at]];
    if (!sync || !rest || !changes) throw new Error("not everything was measured");
    return { sync, rest, changes };
  });
  if (!one || !two) throw new Error("not both servers were measured");
  return { weft: one, bare: two };
}

const folder = mkdtempSync(join(tmpdir(), "weft-bench-xds-"));
try {
  progress("xds: recording what the bare server is to send");
  const file = join(folder, "recording.json");
  writeFileSync(file, JSON.stringify(await recordingOf(scale, changed)));
  const rows = [];
  for (const proxies of values.proxies.split(",").map(Number)) {
    rows.push(...rowsOf(proxies, await measure(file, proxies)));
  }
  const { services, namespaces, sidecars } = scale;
  printFigures(
    "xds",
    `The production server over ${services} HTTP services of 2 endpoints in ${namespaces} namespaces, ${sidecars} of them behind a Sidecar; beside it istiod's figures and a bare gRPC server that sends the same bytes`,
    { ...scale },
    rows,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
