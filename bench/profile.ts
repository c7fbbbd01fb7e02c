/**
 * What the control plane does with its time during a full sync and during changes: `node bench/profile.ts [--proxies 1000]
 * [--changes 20] [--top 15]`. The profiles stay in `build/profiles/`, for a browser's tools. The last line is JSON.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#base/clock.ts";
import { Child } from "./child.ts";
import { printFigures, progress, type Row } from "./figures.ts";
import { treeOf } from "./process-tree.ts";
import { type Profile, Profiler, selfTimes } from "./profiler.ts";
import { changeKinds, ServedMesh } from "./served.ts";
import type { SimulatorAnswer, SimulatorRequest } from "./xds-simulator.ts";

const { values } = parseArgs({
  options: {
    proxies: { type: "string", default: "1000" },
    changes: { type: "string", default: "20" },
    top: { type: "string", default: "15" },
  },
});
const namespaces = 20;
/** Milliseconds in which the control plane does what follows a change, such as writing statuses. A profiled process is never idle. */
const pauseMs = 1000;
const root = join(import.meta.dirname, "..");

type Frame = Parameters<Parameters<typeof selfTimes>[1]>[0];

/** A part of the program: a room, Node's own modules, a package, or the engine's own work. */
function partOf({ url, functionName }: Frame): string {
  const [, room] = /\/src\/(\w+)\//.exec(url) ?? [];
  if (room !== undefined) return `src/${room}`;
  const [, name] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
  if (name !== undefined) return name;
  if (url.startsWith("node:")) return "Node's modules";
  return functionName.startsWith("(") ? functionName : "native code";
}

function functionOf({ url, functionName, lineNumber }: Frame): string {
  const file = url.replace(/^.*\/src\//, "").replace(/^.*\/node_modules\//, "");
  return `${functionName || "(anonymous)"}${file === "" ? "" : ` ${file}:${lineNumber + 1}`}`;
}

function rowsOf(phase: string, profile: Profile): readonly Row[] {
  const rows = (by: string, times: readonly [string, number][]): readonly Row[] => {
    const all = times.reduce((sum, [, ms]) => sum + ms, 0);
    const row = ([what, ms]: [string, number]): Row => ({
      phase,
      by,
      what,
      ms: Math.round(ms),
      percent: Number(((100 * ms) / all).toFixed(1)),
    });
    return times.slice(0, Number(values.top)).map(row);
  };
  return [...rows("part", selfTimes(profile, partOf)), ...rows("function", selfTimes(profile, functionOf))];
}

process.env["NODE_OPTIONS"] = "--inspect-port=0";
await using served = await ServedMesh.start({ services: 1000, namespaces, sidecars: 4 });
delete process.env["NODE_OPTIONS"];
const simulator = new Child<SimulatorRequest, SimulatorAnswer>("xds-simulator.ts");
try {
  await served.addRoute(0);
  const controlPlane = treeOf(served.pid).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0discovery\0"),
  );
  if (controlPlane === undefined) throw new Error("the served mesh has no control plane");
  using profiler = await Profiler.attach(controlPlane, join(dirname(served.kubeconfig), "discovery.log"));
  const phases = new Map<string, Profile>();
  progress("profile: a full sync");
  const numbers = Array.from({ length: Number(values.proxies) }, (_, number) => number);
  const mode = { variant: "delta", remember: false, record: false } as const;
  const sync = async (): Promise<void> => {
    await simulator.ask({ kind: "connect", address: served.ads, numbers, namespaces, ...mode }, "synced");
    await systemClock.sleep(pauseMs);
  };
  phases.set("full sync", await profiler.during(sync));
  for (const kind of changeKinds) {
    progress(`profile: ${values.changes} changes of ${kind}`);
    const change = async (): Promise<void> => {
      for (let turn = 0; turn < Number(values.changes); turn += 1) {
        await served.change(kind, 0, turn + 1);
        await systemClock.sleep(pauseMs);
      }
    };
    phases.set(kind, await profiler.during(change));
  }
  const folder = join(root, "build", "profiles");
  mkdirSync(folder, { recursive: true });
  for (const [phase, profile] of phases) {
    writeFileSync(join(folder, `${phase.replace(" ", "-")}.cpuprofile`), JSON.stringify(profile));
  }
  printFigures(
    "profile",
    `The control plane's time: a full sync of ${values.proxies} proxies, and ${values.changes} changes of each kind`,
    { proxies: numbers.length, changes: Number(values.changes) },
    [...phases].flatMap(([phase, profile]) => rowsOf(phase, profile)),
  );
} finally {
  await simulator.end();
}
