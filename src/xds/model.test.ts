import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { typeUrls, type EncodedResource, type TypeUrl } from "#proto/encoded.ts";
import { XdsHub } from "./hub.ts";
import type { XdsLimits } from "./limits.ts";
import type { Variant } from "./message.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { ModelClient, badNumber, contentOf, modelTypes, type Manner } from "./testing/model-client.ts";
import { cluster, endpoints, hostlessRoute, listener, route, virtualHost } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";
import { patience, runs } from "#base/testing/runs.ts";

const scopeSets = {
  [typeUrls.cluster]: [["c1"], ["c1", "c2"], ["c3"]],
  [typeUrls.endpoints]: [["e1"], ["e1", "e2"]],
  [typeUrls.listener]: [["l1"], ["l1", "l2"]],
  [typeUrls.route]: [["r1"], ["r2", "r1"]],
  [typeUrls.virtualHost]: [["h1"]],
} as const;

/** The client of a class of its own, and its scopes of virtual hosts. */
const special = "z";
const specialHosts: readonly (readonly string[])[] = [["h2", "h1"], ["h1"]];

/** Scopes of one type share no names, but for those of virtual hosts, of which the first hides the second's. */
const namesOf: Readonly<Record<string, readonly string[]>> = {
  c1: ["a", "b", "c"],
  c2: ["d"],
  c3: ["a", "e"],
  e1: ["a", "b", "c"],
  e2: ["d", "e"],
  l1: ["p", "q"],
  l2: ["s"],
  r1: ["rp", "rq"],
  r2: ["rs"],
  "h1 rq": ["rq/x", "rq/y"],
  "h2 rq": ["rq/x", "rq/z"],
};

/** Of this route configuration, to those who can take them so, virtual hosts come by themselves. */
const hostless = "rq";

const type = (scope: string): TypeUrl =>
  ({
    c: typeUrls.cluster,
    e: typeUrls.endpoints,
    l: typeUrls.listener,
    r: typeUrls.route,
    h: typeUrls.virtualHost,
  })[scope[0] ?? ""] as TypeUrl;

/** The n-th form of a resource; some are such that clients refuse them. */
function form(variant: Variant, scope: string, name: string, n: number): EncodedResource {
  const at = type(scope);
  if (at === typeUrls.cluster) return cluster(name, n === 0 ? badNumber : 100 * n, n === 2 ? "shared" : name);
  if (at === typeUrls.endpoints) return endpoints(name, [n === 0 ? badNumber : 1000 + n]);
  if (at === typeUrls.listener) return listener(name, 1000 + n, n === 2 ? "rs" : `r${name}`);
  const to = ["a", "b", "c", "d"][n] ?? "a";
  if (at === typeUrls.virtualHost) return virtualHost(hostless, name.slice(-1), [name], to);
  // Of two forms in four only the virtual hosts are others.
  return name === hostless && variant === "delta" ? hostlessRoute(name, n % 2) : route(name, to);
}

type Step =
  | { readonly kind: "edit"; readonly edits: readonly Edit[] }
  | { readonly kind: "scopes"; readonly type: number; readonly choice: number }
  | { readonly kind: "deliver" | "connect" | "disconnect"; readonly client: number }
  | { readonly kind: "askAgain"; readonly client: number; readonly name: string; readonly route: boolean }
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: "turn" };

interface Edit {
  readonly scope: string;
  readonly name: number;
  readonly form: number | undefined;
}

const someEdit: fc.Arbitrary<Edit> = fc.record({
  scope: fc.constantFrom(...Object.keys(namesOf)),
  name: fc.nat(2),
  form: fc.option(fc.nat(3), { nil: undefined }),
});

const someStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("edit" as const),
      edits: fc.array(someEdit, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("scopes" as const), type: fc.nat(4), choice: fc.nat(2) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("deliver" as const), client: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("connect" as const, "disconnect" as const), client: fc.nat(2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("askAgain" as const),
      client: fc.nat(2),
      name: fc.constantFrom("a", "b", "rp", "rs"),
      route: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(1, 20, 250, 6000) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turn" as const) }) },
);

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

class World implements Disposable {
  readonly source = new TableSource(
    ({ id }) => (id === special ? special : "all"),
    (configuration) => configuration === hostless,
  );
  readonly clock = new ManualClock();
  readonly clients: readonly ModelClient[];
  readonly hub: XdsHub;
  readonly #variant: Variant;
  readonly #choice = new Map<TypeUrl, readonly string[]>(modelTypes.map((at) => [at, scopeSets[at][0]]));
  #specialHosts = specialHosts[0] ?? [];
  readonly #rows = new Map<string, EncodedResource>();
  #edits = 0;
  /** After some edits more wait, until the next one, or until all is over. */
  #pressed = false;

  constructor(clients: readonly ModelClient[], limits: Partial<XdsLimits> = {}) {
    this.clients = clients;
    this.#variant = clients[0]?.variant ?? "delta";
    this.#setScopes();
    this.hub = new XdsHub({
      source: this.source,
      engine: this.source.engine,
      clock: this.clock,
      logger: silentLogger,
      pressed: () => this.#pressed,
      limits: { takeTimeoutMs: 1e9, requestsPerSecond: 1e6, requestBurst: 1e6, ...limits },
    });
  }

  async run(step: Step): Promise<void> {
    if (step.kind === "edit") this.edit(step.edits);
    else if (step.kind === "scopes") this.#rescope(step.type, step.choice);
    else if (step.kind === "time") this.clock.advance(step.ms);
    else if (step.kind === "turn") await turn();
    else this.#clientStep(step);
  }

  edit(edits: readonly Edit[]): void {
    this.#edits += 1;
    this.#pressed = this.#edits % 3 > 0;
    this.source.change(() => {
      for (const { scope, name, form: n } of edits) {
        const chosen = namesOf[scope]?.[name];
        if (chosen === undefined) continue;
        if (n === undefined) this.#delete(scope, chosen);
        else this.#set(scope, form(this.#variant, scope, chosen, n));
      }
    });
  }

  /** Lets everything come to rest. */
  async settle(): Promise<void> {
    this.#pressed = false;
    this.source.change(() => undefined);
    for (const client of this.clients) if (!client.connected) client.connect(this.hub);
    for (let idle = 0; idle < 3;) {
      await turn();
      this.clock.advance(250);
      await turn();
      let busy = false;
      for (const client of this.clients) while (client.deliver()) busy = true;
      idle = busy ? 0 : idle + 1;
      // Proxies that wait for what never comes hold routes up for a while, but not for ever.
      if (!busy) this.clock.advance(6000);
    }
  }

  /** What a client should see of a type: by recomputation from the rows. */
  expected(client: ModelClient, at: TypeUrl): ReadonlyMap<string, EncodedResource> {
    const seen = new Map<string, EncodedResource>();
    if (at === typeUrls.virtualHost) return this.#expectedHosts(client);
    const asked = client.asked.get(at);
    const whole = at === typeUrls.cluster || at === typeUrls.listener;
    for (const scope of this.#choice.get(at) ?? []) {
      for (const name of namesOf[scope] ?? []) {
        const row = this.#rows.get(`${scope}\n${name}`);
        if (row && !seen.has(name) && (whole || asked?.has(name))) seen.set(name, row);
      }
    }
    return seen;
  }

  #expectedHosts(client: ModelClient): ReadonlyMap<string, EncodedResource> {
    if (!client.held.get(typeUrls.route)?.get(hostless)?.hostless) return new Map();
    const scopes = client.id === special ? this.#specialHosts : (this.#choice.get(typeUrls.virtualHost) ?? []);
    const rows = scopes.flatMap((scope) =>
      (namesOf[`${scope} ${hostless}`] ?? []).flatMap((name) => this.#rows.get(`${scope} ${hostless}\n${name}`) ?? []),
    );
    return new Map(rows.toReversed().map((row) => [row.name, row]));
  }

  [Symbol.dispose](): void {
    this.hub[Symbol.dispose]();
  }

  #clientStep(step: Extract<Step, { client: number }>): void {
    const client = this.clients[step.client % this.clients.length];
    if (!client) return;
    if (step.kind === "deliver") client.deliver();
    else if (step.kind === "disconnect") client.disconnect();
    else if (step.kind === "askAgain") client.askAgain(step.route ? typeUrls.route : typeUrls.endpoints, step.name);
    else if (!client.connected) client.connect(this.hub);
  }

  #set(scope: string, resource: EncodedResource): void {
    this.source.set(scope, resource);
    this.#rows.set(`${scope}\n${resource.name}`, resource);
  }

  #delete(scope: string, name: string): void {
    this.source.delete(scope, name);
    this.#rows.delete(`${scope}\n${name}`);
  }

  #rescope(at: number, choice: number): void {
    const chosen = modelTypes[at];
    if (!chosen) return;
    const sets: readonly (readonly string[])[] = scopeSets[chosen];
    this.#choice.set(chosen, sets[choice % sets.length] ?? []);
    if (chosen === typeUrls.virtualHost) this.#specialHosts = specialHosts[choice % specialHosts.length] ?? [];
    this.#setScopes();
  }

  #setScopes(): void {
    const all = Object.fromEntries(this.#choice);
    this.source.change(() => {
      this.source.setScopes("all", all);
      this.source.setScopes(special, { ...all, [typeUrls.virtualHost]: this.#specialHosts });
    });
  }
}

/** A client at rest holds what recomputation gives, less what it refuses, and the server says the same. */
function check(world: World, client: ModelClient): void {
  const status = world.hub.proxies().find(({ node }) => node.id === client.id);
  for (const at of modelTypes) {
    const expected = world.expected(client, at);
    const held = client.held.get(at) ?? new Map();
    const refused: string[] = [];
    for (const [name, resource] of expected) {
      const wanted = contentOf(at, resource.any);
      if (wanted.bad) {
        refused.push(name);
        expect(held.get(name)?.bad ?? false).toBe(false);
      } else {
        expect(held.get(name)?.content, `${client.id} ${at} ${name}`).toBe(wanted.content);
      }
    }
    if (client.variant === "delta" || at === typeUrls.cluster || at === typeUrls.listener) {
      const surplus = [...held.keys()].filter((name) => !expected.has(name));
      expect(surplus, `${client.id} ${at}`).toEqual([]);
    }
    const state = status?.types[at];
    if (client.asked.get(at)?.size === 0 && state === undefined) continue;
    const asked = state?.state !== "NEVER" && state !== undefined;
    if (asked) {
      expect(state.state, `${client.id} ${at}`).toBe(refused.length > 0 ? "NACKED" : "SYNCED");
      expect([...(state.refused?.resources ?? [])].toSorted()).toEqual(refused.toSorted());
    }
  }
  const hosted = world.expected(client, typeUrls.virtualHost).size > 0;
  for (const [at, names] of client.warming) {
    // Who refused endpoints waits for others, as long as there are none.
    // ... and so does a route configuration without virtual hosts.
    const waiting = [...names].filter(
      (name) => !client.refused.has(`${at} ${name}`) && (at !== typeUrls.virtualHost || hosted),
    );
    expect(waiting, `${client.id} waits for ${at}`).toEqual([]);
  }
  expect([...client.unanswered]).toEqual([]);
  if (client.refused.size === 0 && client.variant === "delta") expect(client.needless).toEqual([]);
}

const manners: readonly Manner[] = ["names", "whole"];

describe("clients of both variants, edited, refused, cut off and brought back", () => {
  test.each(["delta", "sotw"] as const)(
    "%s: each ends with what recomputation gives",
    { timeout: patience(120_000) },
    async (variant) => {
      await fc.assert(
        fc.asyncProperty(fc.array(someStep, { maxLength: 80, size: "max" }), fc.nat(1), async (steps, manner) => {
          const clients = ["x", "y", "z"].map((id) => new ModelClient(variant, id, manners[manner] ?? "names"));
          using world = new World(clients);
          for (const step of steps) await world.run(step);
          await world.settle();
          for (const client of clients) check(world, client);
          // Nobody does what it should not; the clock stands still, so that breaks follow each other fast.
          expect(world.hub.findings().filter(({ code }) => code !== "ProxyReconnects")).toEqual([]);
          for (const client of clients) client.disconnect();
          expect(world.hub.figures()).toMatchObject({ streams: 0, scopes: 0, views: 0, bytesUnsent: 0 });
        }),
        { numRuns: runs(250) },
      );
    },
  );
});

const someRoutes = fc.dictionary(fc.constantFrom("rp", "rq", "rs"), fc.constantFrom("a", "b", "c", "d"), {
  maxKeys: 3,
});

type Move =
  | { readonly kind: "routes"; readonly routes: Readonly<Record<string, string>>; readonly form: number }
  /** The virtual hosts of a configuration lead elsewhere; all else stays as it is. */
  | { readonly kind: "hosts"; readonly to: string }
  | { readonly kind: "deliver" | "cut" | "turn" | "time" };

const someMove: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("routes" as const),
      routes: someRoutes,
      form: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("hosts" as const), to: fc.constantFrom("a", "b", "c", "d") }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("deliver" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("turn" as const, "time" as const) }) },
);

/** Makes the source hold exactly these routes and what they need, in one change. */
function point(world: World, routes: Readonly<Record<string, string>>, n: number): void {
  const targets = new Set(Object.values(routes));
  const edits: Edit[] = [];
  for (const [scope, names] of Object.entries({ c1: namesOf["c1"], c2: namesOf["c2"], e1: namesOf["e1"], e2: ["d"] })) {
    for (const [at, name] of (names ?? []).entries()) {
      edits.push({ scope, name: at, form: targets.has(name) ? (scope[0] === "c" && n === 2 ? 1 : n) : undefined });
    }
  }
  for (const [scope, at, name, listens] of [
    ["r1", 0, "rp", "l1"],
    ["r1", 1, "rq", "l1"],
    ["r2", 0, "rs", "l2"],
  ] as const) {
    const target = ["a", "b", "c", "d"].indexOf(routes[name] ?? "");
    edits.push({ scope, name: at, form: target < 0 ? undefined : target });
    if (name === hostless) edits.push({ scope: `h1 ${hostless}`, name: 0, form: target < 0 ? undefined : target });
    edits.push({ scope: listens, name: listens === "l2" ? 0 : at, form: target < 0 ? undefined : n === 2 ? 1 : n });
  }
  world.edit(edits);
}

/** Every route that the client serves leads to a cluster that it has, with endpoints. */
function expectWhole(client: ModelClient): void {
  const routes = [...(client.held.get(typeUrls.route) ?? []), ...(client.held.get(typeUrls.virtualHost) ?? [])];
  for (const [name, { clusters }] of routes) {
    for (const target of clusters) {
      const cluster = client.held.get(typeUrls.cluster)?.get(target);
      expect(cluster, `route ${name} leads to ${target}`).toBeDefined();
      for (const awaited of cluster?.awaits ?? []) {
        const has =
          client.held.get(typeUrls.endpoints)?.has(awaited) || client.stale.has(`${typeUrls.endpoints} ${awaited}`);
        expect(has, `endpoints ${awaited}`).toBe(true);
      }
    }
  }
}

const deliver: Move = { kind: "deliver" };

/** Endpoints that went, were dropped, and are asked for again when they are back as they were. */
const backAgain: readonly Move[] = [
  { kind: "routes", routes: { rp: "b" }, form: 2 },
  { kind: "cut" },
  deliver,
  { kind: "routes", routes: { rp: "d" }, form: 2 },
  ...Array.from({ length: 5 }, () => deliver),
  { kind: "routes", routes: { rp: "b", rs: "d" }, form: 1 },
  deliver,
  { kind: "time" },
  deliver,
  { kind: "routes", routes: {}, form: 1 },
  deliver,
  { kind: "routes", routes: { rp: "b" }, form: 2 },
];

describe("make before break", () => {
  test.each(["delta", "sotw"] as const)(
    "%s: at no moment a route leads nowhere",
    { timeout: patience(120_000) },
    async (variant) => {
      await fc.assert(
        fc.asyncProperty(fc.array(someMove, { maxLength: 120, size: "max" }), async (moves) => {
          const client = new ModelClient(variant, "x", "names");
          // Nothing may hang on giving up to wait.
          using world = new World([client], { orderTimeoutMs: 1e9 });
          world.source.setScopes(
            "all",
            Object.fromEntries(modelTypes.map((at) => [at, scopeSets[at][1] ?? scopeSets[at][0]])),
          );
          client.connect(world.hub);
          let last: Extract<Move, { kind: "routes" }> = { kind: "routes", routes: {}, form: 1 };
          for (const move of moves) {
            if (move.kind === "routes") last = move;
            else if (move.kind === "hosts" && last.routes[hostless]) {
              last = { ...last, routes: { ...last.routes, [hostless]: move.to } };
            }
            if (move.kind === "routes" || move.kind === "hosts") point(world, last.routes, last.form);
            else if (move.kind === "turn") await turn();
            else if (move.kind === "time") world.clock.advance(25);
            else if (move.kind === "deliver") client.deliver();
            else if (variant === "delta") {
              // State of the world does not tell what a client holds when it comes back: only delta is held to this.
              client.disconnect();
              client.connect(world.hub);
            }
            expectWhole(client);
          }
          await world.settle();
          expectWhole(client);
          for (const state of Object.values(world.hub.proxies()[0]?.types ?? {})) {
            expect(["SYNCED", "NEVER"]).toContain(state.state);
          }
        }),
        { numRuns: runs(200), examples: [[[...backAgain]]] },
      );
    },
  );
});
