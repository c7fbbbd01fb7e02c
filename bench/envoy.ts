/**
 * How long a real Envoy takes from the bytes of a change having reached it until requests follow it: one VirtualService of a mesh
 * of 1,000 services, with virtual hosts as resources of their own, and as state-of-the-world clients and Envoys before 1.37 get
 * it, in a whole route configuration. `node bench/envoy.ts [--services 1000] [--changes 20]`, as root: Envoy runs in a
 * network namespace of its own. The last line is JSON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sidecar } from "#api/istio/sidecar.ts";
import { virtualService } from "#api/istio/virtual-service.ts";
import { systemClock } from "#base/clock.ts";
import { Child, ownNamespaces } from "./child.ts";
import type { DriverAnswer, DriverRequest } from "./envoy-driver.ts";
import { printFigures, progress, type Row } from "./figures.ts";
import { median, quantile, rounded } from "./quantile.ts";
import { Relay } from "./relay.ts";
import { ServedMesh } from "./served.ts";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    changes: { type: "string", default: "20" },
    version: { type: "string", default: "1.40.0" },
  },
});
const scale = { services: Number(values.services), namespaces: 20, sidecars: 0 };

/** The service that is changed, seen by a proxy of another namespace. */
const changed = { name: "svc-5", namespace: "ns-5" };
const host = `${changed.name}.${changed.namespace}.svc.cluster.local`;
const proxy = { name: "svc-19", namespace: "ns-19", address: "10.20.0.20" };

const ways = [
  { variant: "delta", name: "virtual hosts apart (VHDS)" },
  { variant: "sotw", name: "whole route configuration (RDS)" },
] as const;

/** Milliseconds between changes, in which the control plane writes what became of one. */
const pauseMs = 700;

/** Milliseconds, but for the bytes. */
interface Change {
  readonly bytes: number;
  /** From the API's acknowledgement until Envoy was given the last of it. */
  readonly reached: number;
  /** From then until Envoy acknowledged it, and until a request was answered by it. */
  readonly acknowledged: number;
  readonly effective: number;
  readonly failed: number;
}

const milliseconds = (from: bigint, to: bigint): number => Number(to - from) / 1e6;

/** Answers requests for the service itself, so that an answer tells which rule is in effect. */
function ruleOf(generation: number): object {
  return { hosts: [changed.name], http: [{ directResponse: { status: 200, body: { string: `rule ${generation}` } } }] };
}

/** One Envoy, the way it is told, and what has been changed for it. */
class Trial {
  readonly #served: ServedMesh;
  readonly #relay: Relay;
  readonly #driver: Child<DriverRequest, DriverAnswer>;
  #generation = 0;

  constructor(served: ServedMesh, relay: Relay, driver: Child<DriverRequest, DriverAnswer>) {
    this.#served = served;
    this.#relay = relay;
    this.#driver = driver;
  }

  async change(): Promise<Change> {
    this.#generation += 1;
    this.#relay.mark();
    const seen = this.#driver.ask({ kind: "until", host, body: `rule ${this.#generation}` }, "seen");
    const body = { spec: ruleOf(this.#generation) };
    await this.#served.mesh.of(virtualService).patch(changed, { kind: "merge", body });
    const wrote = process.hrtime.bigint();
    const { at, failed } = await seen;
    await systemClock.sleep(pauseMs);
    const { toldAt, answeredAt, bytes } = this.#relay;
    return {
      bytes,
      reached: milliseconds(wrote, toldAt),
      acknowledged: milliseconds(toldAt, answeredAt),
      effective: milliseconds(toldAt, BigInt(at)),
      failed,
    };
  }
}

function rowOf(way: string, changes: readonly Change[]): Row {
  const all = (field: keyof Change): readonly number[] => changes.map((change) => change[field]);
  const effective = all("effective").toSorted((a, b) => a - b);
  return {
    "told by": way,
    changes: changes.length,
    bytes: Math.round(median(all("bytes"))),
    "API to Envoy ms": rounded(median(all("reached"))),
    "to ACK ms": rounded(median(all("acknowledged"))),
    "to effect ms": rounded(median(effective)),
    "least ms": rounded(effective[0] ?? 0),
    "P90 ms": rounded(quantile(effective, 0.9)),
    "last ms": rounded(effective.at(-1) ?? 0),
    "requests failed": all("failed").reduce((sum, each) => sum + each, 0),
  };
}

async function measure(served: ServedMesh, folder: string, { variant, name }: (typeof ways)[number]): Promise<Row> {
  const socketPath = join(folder, `${variant}.sock`);
  await using relay = await Relay.listen(socketPath, Number(served.ads.split(":")[1]));
  const driver = new Child<DriverRequest, DriverAnswer>("envoy-driver.ts", [], ownNamespaces);
  try {
    const id = `sidecar~${proxy.address}~${proxy.name}-0.${proxy.namespace}~${proxy.namespace}.svc.cluster.local`;
    const metadata = { NAMESPACE: proxy.namespace, CLUSTER_ID: "main", LABELS: { app: proxy.name } };
    await served.mesh.of(virtualService).patch(changed, { kind: "merge", body: { spec: ruleOf(0) } });
    await driver.ask({ kind: "start", version: values.version, variant, socketPath, id, metadata }, "started");
    await driver.ask({ kind: "until", host, body: "rule 0" }, "seen");
    const trial = new Trial(served, relay, driver);
    // The first one warms up.
    await trial.change();
    const changes: Change[] = [];
    for (let turn = 0; turn < Number(values.changes); turn += 1) changes.push(await trial.change());
    const row = rowOf(name, changes);
    progress(`envoy: ${name}: in effect ${row["to effect ms"]} ms after the bytes were there`);
    return row;
  } finally {
    await driver.end();
  }
}

const folder = mkdtempSync(join(tmpdir(), "weft-bench-envoy-"));
try {
  progress(`envoy: serving ${scale.services} services`);
  await using served = await ServedMesh.start(scale);
  await served.mesh.of(virtualService).create({ metadata: changed, spec: ruleOf(0) });
  // A listener that requests can be sent to without capturing traffic, with all that the one for captured traffic has.
  const port = { number: 80, protocol: "HTTP", name: "http" };
  const egress = [{ port, bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/*"] }];
  await served.mesh.of(sidecar).create({ metadata: { name: "bound", namespace: proxy.namespace }, spec: { egress } });
  const rows: Row[] = [];
  for (const way of ways) rows.push(await measure(served, folder, way));
  printFigures(
    "envoy",
    `Envoy ${values.version} with ${scale.services} services: one VirtualService, from its bytes having reached Envoy until requests follow it`,
    { services: scale.services, version: values.version },
    rows,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
