import { systemClock } from "#base/clock.ts";
import type { Recording } from "./bare-server.ts";
import { Child } from "./child.ts";
import { type ChangeKind, ServedMesh, type ServedScale } from "./served.ts";
import type { RecordedResponse, SimulatorAnswer, SimulatorRequest } from "./xds-simulator.ts";

/** Namespaces whose proxies get as good as the same: those behind a Sidecar are apart, each sees its own services. */
function groupsOf({ namespaces, sidecars }: ServedScale): readonly (readonly number[])[] {
  const numbers = Array.from({ length: namespaces }, (_, number) => number);
  const groups = Map.groupBy(numbers, (number) => Math.min(number, sidecars));
  return [...groups.values()];
}

/** Records what proxies get at first and for each kind of change of a service, for the bare server to send. */
export async function recordingOf(scale: ServedScale, changed: number): Promise<readonly Recording[]> {
  const groups = groupsOf(scale);
  // The workload of the same number as a namespace is of that namespace.
  const numbers = groups.map(([number = 0]) => number);
  await using served = await ServedMesh.start(scale);
  await served.addRoute(changed);
  const simulator = new Child<SimulatorRequest, SimulatorAnswer>("xds-simulator.ts");
  try {
    const { ads: address } = served;
    const mode = { variant: "delta", remember: false, record: true } as const;
    await simulator.ask({ kind: "connect", address, numbers, namespaces: scale.namespaces, ...mode }, "synced");
    const take = async (): Promise<readonly (readonly RecordedResponse[])[]> => {
      await served.settled();
      // What the server has sent, the simulator has read by then.
      await systemClock.sleep(500);
      const { recorded } = await simulator.ask({ kind: "report" }, "report");
      await simulator.ask({ kind: "mark" }, "marked");
      return recorded;
    };
    const sync = await take();
    const record = async (kind: ChangeKind) => {
      await served.change(kind, changed, 1);
      return await take();
    };
    const changes = { route: await record("route"), endpoints: await record("endpoints") };
    return groups.map((namespaces, at) => ({
      namespaces: namespaces.map((number) => `ns-${number}`),
      sync: sync[at] ?? [],
      changes: { route: changes.route[at] ?? [], endpoints: changes.endpoints[at] ?? [] },
    }));
  } finally {
    await simulator.end();
  }
}
