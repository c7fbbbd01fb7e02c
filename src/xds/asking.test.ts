import fc from "fast-check";
import { expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { typeUrls } from "#proto/encoded.ts";
import { placeholderHost } from "#proto/placeholder-host.ts";
import { XdsHub } from "./hub.ts";
import type { Demand } from "./port.ts";
import { ModelClient } from "./testing/model-client.ts";
import { cluster, endpoints, hostlessRoute, listener, virtualHost } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

/** The route configuration whose virtual hosts are asked for, and hosts that there are: each leads to a cluster of its name. */
const configuration = "rq";
const hosts = ["a", "b", "c", "d"];

/** Asked for as `rq/a`; the virtual host is called by its full name. */
function hostOf(name: string): string {
  return `${configuration}/${name}.shop`;
}

/** A source that has nothing of a host before it was asked for. */
class Mesh implements Demand, Disposable {
  readonly source = new TableSource();
  readonly clock = new ManualClock();
  readonly hub: XdsHub;
  /** Proxies that are there. */
  present = 0;

  constructor() {
    const scopes = { cluster: "c", endpoints: "e", listener: "l", route: "r", virtualHost: "h" } as const;
    const entries = Object.entries(scopes).map(([type, scope]) => [typeUrls[type as keyof typeof scopes], [scope]]);
    this.source.setScopes("all", Object.fromEntries(entries) as Record<string, string[]>);
    this.source.set("l", listener("l", 1000, configuration));
    this.source.set("r", hostlessRoute(configuration));
    this.source.set(`h ${configuration}`, placeholderHost(configuration));
    const { source, clock } = this;
    // Nothing may hang on giving up to wait.
    const limits = { orderTimeoutMs: 1e9, takeTimeoutMs: 1e9, requestsPerSecond: 1e6, requestBurst: 1e6 };
    this.hub = new XdsHub({ source, engine: source.engine, clock, logger: silentLogger, limits, demand: this });
  }

  came(): void {
    this.present += 1;
  }

  asked(_proxy: object, names: readonly string[]): void {
    this.source.change(() => {
      for (const name of names) this.#learn(name.slice(configuration.length + 1));
    });
  }

  left(): void {
    this.present -= 1;
  }

  #learn(name: string): void {
    if (!hosts.includes(name)) return;
    this.source.set("c", cluster(name));
    this.source.set("e", endpoints(name, [1000]));
    this.source.set(`h ${configuration}`, virtualHost(configuration, `${name}.shop`, [name, `${name}.shop`], name));
  }

  [Symbol.dispose](): void {
    this.hub[Symbol.dispose]();
  }
}

type Move =
  | { readonly kind: "want"; readonly client: number; readonly name: string }
  | { readonly kind: "deliver" | "cut"; readonly client: number }
  | { readonly kind: "turn" | "time" };

const client = fc.nat(1);
const someMove: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("want" as const), client, name: fc.constantFrom(...hosts, "www", "*") }),
  },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("deliver" as const), client }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), client }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("turn" as const, "time" as const) }) },
);

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** A request that waited for a name finds its virtual host, the cluster that this leads to, and endpoints of that. */
function expectReady({ id, held }: ModelClient, asked: string): void {
  const name = asked.slice(configuration.length + 1);
  if (!hosts.includes(name)) return;
  expect(held.get(typeUrls.virtualHost)?.has(hostOf(name)), `${id} holds the host ${name}`).toBe(true);
  expect(held.get(typeUrls.cluster)?.has(name), `${id} holds the cluster ${name}`).toBe(true);
  expect(held.get(typeUrls.endpoints)?.has(name), `${id} holds endpoints of ${name}`).toBe(true);
}

async function settle(mesh: Mesh, clients: readonly ModelClient[]): Promise<void> {
  for (let idle = 0; idle < 3; idle += 1) {
    await turn();
    mesh.clock.advance(250);
    await turn();
    for (const each of clients) while (each.deliver()) idle = 0;
  }
}

test(
  "virtual hosts that are asked for by name are answered once all that they lead to is there, whatever happens meanwhile",
  { timeout: patience(120_000) },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(someMove, { maxLength: 80, size: "max" }), async (moves) => {
        using mesh = new Mesh();
        const clients = ["x", "y"].map((id) => new ModelClient("delta", id, "names"));
        for (const each of clients) {
          each.onAnswered = (name) => expectReady(each, name);
          each.connect(mesh.hub);
        }
        for (const move of moves) {
          const one = "client" in move ? clients[move.client] : undefined;
          if (move.kind === "want") one?.want(`${configuration}/${move.name}`);
          else if (move.kind === "deliver") one?.deliver();
          else if (move.kind === "cut") {
            one?.disconnect();
            one?.connect(mesh.hub);
          } else if (move.kind === "turn") await turn();
          else mesh.clock.advance(25);
        }
        await settle(mesh, clients);
        // Names that nothing is are answered, too: their requests must not wait.
        expect(clients.map(({ wants }) => [...wants])).toEqual([[], []]);
        expect(mesh.present).toBe(2);
        expect(mesh.hub.findings().filter(({ code }) => code !== "ProxyReconnects")).toEqual([]);
        for (const each of clients) each.disconnect();
        expect(mesh.present).toBe(0);
        expect(mesh.hub.figures()).toMatchObject({ streams: 0, scopes: 0, views: 0, bytesUnsent: 0 });
      }),
      { numRuns: runs(150) },
    );
  },
);
