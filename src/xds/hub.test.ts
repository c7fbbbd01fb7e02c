import { describe, expect, test } from "vitest";
import { WeftError } from "#base/errors.ts";
import { jsonLogger, silentLogger } from "#base/logger.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { Admit } from "./gatekeeper.ts";
import { XdsHub, type HubOptions } from "./hub.ts";
import type { ProxyNode } from "./port.ts";
import type { Message } from "./message.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { ModelClient, badNumber, contentOf, type Manner } from "./testing/model-client.ts";
import { cluster, endpoints, hostlessRoute, listener, route, virtualHost } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** A hub over a table with one cluster behind one route; each proxy id is a class of its own with its own scope beside. */
class Fixture implements Disposable {
  readonly source = new TableSource(({ id }) => id);
  readonly clock = new ManualClock();
  readonly hub: XdsHub;

  constructor(options: Partial<HubOptions> = {}) {
    this.source.change(() => {
      this.source.set("clusters", cluster("one"));
      this.source.set("endpoints", endpoints("one", [1]));
      this.source.set("listeners", listener("in", 1, "routes"));
      this.source.set("routes", route("routes", "one"));
    });
    this.hub = new XdsHub({
      source: this.source,
      engine: this.source.engine,
      clock: this.clock,
      logger: silentLogger,
      ...options,
    });
  }

  /** A client whose class has a cluster of its own beside the common ones. */
  client(id: string, variant: "delta" | "sotw" = "delta", manner: Manner = "names"): ModelClient {
    this.source.setScopes(id, {
      [typeUrls.cluster]: ["clusters", `inbound/${id}`],
      [typeUrls.endpoints]: ["endpoints"],
      [typeUrls.listener]: ["listeners"],
      [typeUrls.route]: ["routes"],
    });
    this.source.set(`inbound/${id}`, cluster(`inbound-${id}`, 100, "one"));
    const client = new ModelClient(variant, id, manner);
    client.connect(this.hub);
    return client;
  }

  /** Delivers until nothing is under way. Time passes only as far as batches need it. */
  async settle(...clients: readonly ModelClient[]): Promise<void> {
    for (let idle = 0; idle < 2;) {
      this.clock.advance(20);
      await turn();
      let busy = false;
      for (const client of clients) while (client.deliver()) busy = true;
      idle = busy ? 0 : idle + 1;
    }
  }

  state(id: string, type: (typeof typeUrls)[keyof typeof typeUrls]) {
    return this.hub.proxies().find(({ node }) => node.id === id)?.types[type];
  }

  [Symbol.dispose](): void {
    this.hub[Symbol.dispose]();
  }
}

test("names that a proxy was owed and does not ask for when it is back are forgotten", async () => {
  using fixture = new Fixture();
  const { hub } = fixture;
  fixture.source.setScopes("x", { [typeUrls.endpoints]: ["endpoints"] });
  const nothing = (): void => undefined;
  const transport = { send: nothing, end: nothing, abort: nothing, retire: nothing, pause: nothing, resume: nothing };
  const common = { kind: "delta", typeUrl: typeUrls.endpoints, nonce: "", refusal: undefined } as const;
  const node = { id: "x", cluster: "", metadata: {}, version: "", locality: { region: "", zone: "", subzone: "" } };
  for (let time = 0; time < 5; time += 1) {
    const session = hub.open("delta", transport, undefined, "here");
    const subscribe = ["one", `nothing-${time}`, `nor-${time}`];
    session.receive(() => ({ ...common, node, subscribe, unsubscribe: [], versions: {} }));
    await turn();
    session.end();
    expect(hub.figures().namesOwed).toBe(3);
  }
});

describe("sharing", () => {
  test("proxies of distinct classes get the very same bytes of what they have in common", async () => {
    using fixture = new Fixture();
    const clients = ["x", "y", "z"].map((id) => fixture.client(id));
    await fixture.settle(...clients);
    for (const client of clients) client.messages.length = 0;
    const before = fixture.hub.figures();
    fixture.source.set("routes", route("routes", "two"));
    fixture.source.set("clusters", cluster("two", 100, "one"));
    await fixture.settle(...clients);
    const [x, y, z] = clients.map((client) => client.messages);
    expect(x?.length).toBeGreaterThanOrEqual(2);
    expect(y?.map((message, at) => message === x?.[at])).toEqual(x?.map(() => true));
    expect(z?.map((message, at) => message === x?.[at])).toEqual(x?.map(() => true));
    const after = fixture.hub.figures();
    expect(after.messagesEncoded - before.messagesEncoded).toBe(x?.length);
    expect(after.messagesSent - before.messagesSent).toBe(3 * (x?.length ?? 0));
  });

  test("proxies of one class share the full set, too, and one that connects later", async () => {
    using fixture = new Fixture();
    const first = fixture.client("x");
    await fixture.settle(first);
    const encoded = fixture.hub.figures().messagesEncoded;
    // Both stand at the same point as the first one stood.
    const [second, third] = [new ModelClient("delta", "x", "names"), new ModelClient("delta", "x", "names")];
    second.connect(fixture.hub);
    third.connect(fixture.hub);
    await fixture.settle(second, third);
    expect(second.messages.length).toBe(first.messages.length);
    expect(third.messages.every((message, at) => message === second.messages[at])).toBe(true);
    // Only the set of two scopes had to be put together once more.
    expect(fixture.hub.figures().messagesEncoded - encoded).toBeLessThanOrEqual(1);
  });

  test("whoever asks for more from where others did gets the same bytes", async () => {
    using fixture = new Fixture();
    const clients = ["x", "y", "z"].map((id) => fixture.client(id));
    await fixture.settle(...clients);
    for (const client of clients) client.messages.length = client.types.length = 0;
    fixture.source.set("clusters", cluster("two"));
    fixture.source.set("endpoints", endpoints("two", [2]));
    await fixture.settle(...clients);
    const answers = clients.map(({ messages, types }) => messages[types.lastIndexOf(typeUrls.endpoints)]);
    expect(answers[0]).toBeDefined();
    expect(new Set(answers).size).toBe(1);
  });

  test("a virtual host of an earlier scope hides that of a later one, whose changes others share", async () => {
    using fixture = new Fixture();
    const { source } = fixture;
    const clients = ["special", "plain", "other"].map((id) => fixture.client(id));
    const set = (scope: string, host: string, target: string): void =>
      source.set(`${scope} routes`, virtualHost("routes", host, [host], target));
    source.change(() => {
      source.set("routes", hostlessRoute("routes", 1));
      set("common", "x", "common-1");
      set("special", "x", "special-1");
      set("special", "y", "special-1");
      const scopes = { [typeUrls.listener]: ["listeners"], [typeUrls.route]: ["routes"] };
      source.setScopes("special", { ...scopes, [typeUrls.virtualHost]: ["special", "common"] });
      for (const id of ["plain", "other"]) source.setScopes(id, { ...scopes, [typeUrls.virtualHost]: ["common"] });
    });
    const x = async (): Promise<readonly (string | undefined)[]> => {
      await fixture.settle(...clients);
      return clients.map((client) => client.held.get(typeUrls.virtualHost)?.get("routes/x")?.clusters[0]);
    };
    expect(await x()).toEqual(["special-1", "common-1", "common-1"]);
    const { messagesEncoded } = fixture.hub.figures();
    set("common", "x", "common-2");
    expect(await x()).toEqual(["special-1", "common-2", "common-2"]);
    expect(fixture.hub.figures().messagesEncoded - messagesEncoded).toBe(1);
    source.delete("special routes", "routes/x");
    expect(await x()).toEqual(["common-2", "common-2", "common-2"]);
    source.change(() => {
      set("special", "x", "special-3");
      set("common", "x", "common-3");
    });
    expect(await x()).toEqual(["special-3", "common-3", "common-3"]);
    set("common", "z", "common-4");
    await fixture.settle(...clients);
    expect(clients.map((client) => client.held.get(typeUrls.virtualHost)?.has("routes/z"))).toEqual([true, true, true]);
    // What goes from both is taken away once.
    source.change(() => {
      source.delete("special routes", "routes/x");
      source.delete("common routes", "routes/x");
    });
    expect(await x()).toEqual([undefined, undefined, undefined]);
    expect(fixture.state("special", typeUrls.virtualHost)?.state).toBe("SYNCED");
  });

  test("a change that a proxy's scopes do not hold is not even looked at", async () => {
    using fixture = new Fixture();
    const [x, y] = [fixture.client("x"), fixture.client("y")];
    await fixture.settle(x, y);
    x.messages.length = 0;
    y.messages.length = 0;
    fixture.source.set("inbound/x", cluster("inbound-x", 300, "one"));
    await fixture.settle(x, y);
    expect(x.messages.length).toBeGreaterThan(0);
    expect(y.messages).toEqual([]);
  });

  test("scopes and observations end with the last proxy that uses them", async () => {
    using fixture = new Fixture();
    const [x, y] = [fixture.client("x"), fixture.client("y")];
    await fixture.settle(x, y);
    // Common: clusters, endpoints, listeners, routes; and one inbound each.
    expect(fixture.hub.figures()).toMatchObject({ streams: 2, scopes: 6 });
    x.disconnect();
    expect(fixture.hub.figures()).toMatchObject({ streams: 1, scopes: 5 });
    expect(fixture.source.resource.size).toBe(5);
    y.disconnect();
    expect(fixture.hub.figures()).toMatchObject({ streams: 0, scopes: 0, views: 0 });
    expect(fixture.source.resource.size + fixture.source.names.size + fixture.source.scopes.size).toBe(0);
  });
});

describe("pace", () => {
  test("the first change after quiet goes out at once, a storm in batches", async () => {
    using fixture = new Fixture({ batch: { quietMs: 20, longestMs: 200 } });
    const x = fixture.client("x");
    await fixture.settle(x);
    fixture.clock.advance(1000);
    x.messages.length = 0;
    fixture.source.set("endpoints", endpoints("one", [2]));
    await turn();
    expect(x.deliver()).toBe(true);
    for (let port = 3; port < 103; port += 1) {
      fixture.source.set("endpoints", endpoints("one", [port]));
      fixture.clock.advance(10);
      await turn();
      x.deliver();
    }
    await fixture.settle(x);
    // 1,000 ms of changes every 10 ms make five batches of at most 200 ms.
    expect(x.messages.length).toBeGreaterThanOrEqual(5);
    expect(x.messages.length).toBeLessThanOrEqual(8);
  });

  test("a proxy that does not answer gets one response of each type, then all that it missed as one", async () => {
    using fixture = new Fixture();
    const [slow, quick] = [fixture.client("x"), fixture.client("y")];
    await fixture.settle(slow, quick);
    slow.messages.length = 0;
    for (let port = 2; port < 50; port += 1) {
      fixture.source.set("endpoints", endpoints("one", [port]));
      await fixture.settle(quick);
    }
    expect(quick.held.get(typeUrls.endpoints)?.get("one")?.content).toBe(contentOfPort(49));
    expect(slow.waiting).toBe(1);
    expect(fixture.state("x", typeUrls.endpoints)?.state).toBe("STALE");
    await fixture.settle(slow);
    expect(slow.messages.length).toBe(2);
    expect(slow.held.get(typeUrls.endpoints)?.get("one")?.content).toBe(contentOfPort(49));
    expect(fixture.state("x", typeUrls.endpoints)?.state).toBe("SYNCED");
  });

  test("a change for a proxy that is in sync does not wait behind those who just connected", async () => {
    // One message is more than all room, so that of each kind one is under way at a time.
    using fixture = new Fixture({ limits: { unsentBytes: 4 } });
    const synced = fixture.client("x");
    await fixture.settle(synced);
    synced.messages.length = 0;
    const joining = [fixture.client("y"), fixture.client("z")];
    await turn();
    expect(joining.map(({ waiting }) => waiting)).toEqual([1, 0]);
    fixture.source.set("endpoints", endpoints("one", [2]));
    await fixture.settle(synced);
    expect(synced.messages.length).toBe(1);
    expect(joining.map(({ waiting }) => waiting)).toEqual([1, 0]);
    await fixture.settle(synced, ...joining);
    for (const { held } of joining) expect(held.get(typeUrls.endpoints)?.get("one")?.content).toBe(contentOfPort(2));
  });

  test("a change of everything, and several at once, reach proxies on the streams that they have", async () => {
    using fixture = new Fixture();
    const [x, y] = [fixture.client("x"), fixture.client("y", "sotw")];
    const names = Array.from({ length: 1500 }, (_, at) => `c${at}`);
    const all = (timeoutMs: number) =>
      fixture.source.change(() => {
        for (const name of names) fixture.source.set("clusters", cluster(name, timeoutMs, "one"));
      });
    all(100);
    await fixture.settle(x, y);
    for (const timeoutMs of [200, 300, 400, 500]) all(timeoutMs);
    await fixture.settle(x, y);
    const wanted = contentOf(typeUrls.cluster, cluster("c7", 500, "one").any).content;
    for (const client of [x, y]) {
      expect(client.ended).toBeUndefined();
      expect(client.held.get(typeUrls.cluster)?.get("c7")?.content).toBe(wanted);
    }
    fixture.source.change(() => {
      for (const name of names) fixture.source.delete("clusters", name);
    });
    await fixture.settle(x, y);
    for (const client of [x, y]) {
      expect(client.ended).toBeUndefined();
      expect(client.held.get(typeUrls.cluster)?.size).toBe(2);
    }
  });

  test("a proxy that lags beyond what is remembered is sent to reconnect", async () => {
    using fixture = new Fixture();
    const [slow, quick] = [fixture.client("x"), fixture.client("y")];
    await fixture.settle(slow, quick);
    // However often the same clusters change, it is known what to send; not so when ever new ones come and go.
    for (let at = 0; at < 2200; at += 1)
      fixture.source.set("clusters", cluster(`c${at % 300}`, 1000 * (at + 1), "one"));
    await fixture.settle(quick);
    await fixture.settle(slow);
    expect(slow.ended).toBeUndefined();
    fixture.source.set("clusters", cluster("one", 200));
    await fixture.settle(quick);
    for (let at = 0; at < 4000; at += 1) {
      fixture.source.set("clusters", cluster(`brief-${at}`, 1000, "one"));
      fixture.source.delete("clusters", `brief-${at}`);
      if (at % 500 === 0) await fixture.settle(quick);
    }
    await fixture.settle(quick);
    await fixture.settle(slow);
    expect(slow.ended).toMatchObject({ code: "Unavailable" });
    slow.disconnect();
    slow.connect(fixture.hub);
    await fixture.settle(slow);
    expect(slow.held.get(typeUrls.cluster)?.size).toBe(302);
    expect(fixture.state("x", typeUrls.cluster)?.state).toBe("SYNCED");
  });

  test("routes wait for a silent proxy's endpoints, but not for ever", async () => {
    using fixture = new Fixture({ limits: { orderTimeoutMs: 5000 } });
    const x = fixture.client("x");
    await fixture.settle(x);
    x.messages.length = 0;
    fixture.source.change(() => {
      fixture.source.set("clusters", cluster("silent", 100, "never-asked"));
      fixture.source.set("routes", route("routes", "silent"));
    });
    x.silent = true;
    x.types.length = 0;
    await fixture.settle(x);
    expect(x.types).toEqual([typeUrls.cluster]);
    fixture.clock.advance(5000);
    await turn();
    x.deliver();
    expect(x.types).toEqual([typeUrls.cluster, typeUrls.route]);
  });
});

describe("order", () => {
  test("there is a backlog while routes wait for most proxies to take new clusters, not for the few or the slow", async () => {
    using fixture = new Fixture();
    const [x, y] = [fixture.client("x"), fixture.client("y")];
    await fixture.settle(x, y);
    expect(fixture.hub.busy).toBe(false);
    const change = async (name: string): Promise<void> => {
      fixture.source.set("clusters", cluster(name, 100, name));
      fixture.source.set("routes", route("routes", name));
      fixture.clock.advance(20);
      await turn();
    };
    await change("new");
    expect(fixture.hub.busy).toBe(true);
    fixture.clock.advance(3000);
    expect(fixture.hub.busy).toBe(false);
    await fixture.settle(x, y);
    await change("newer");
    expect(fixture.hub.busy).toBe(true);
    await fixture.settle(x, y);
    expect(fixture.hub.busy).toBe(false);
  });

  test("while changes keep coming, what follows from one goes with the next, as one write", async () => {
    let pressed = false;
    using fixture = new Fixture({ pressed: () => pressed });
    const x = fixture.client("x");
    await fixture.settle(x);
    const put = (name: string): void =>
      fixture.source.change(() => {
        fixture.source.set("clusters", cluster(name));
        fixture.source.set("endpoints", endpoints(name, [2]));
      });
    const endpointsHeld = (): string[] => [...x.held.get(typeUrls.endpoints)!.keys()].toSorted();
    const before = endpointsHeld();
    pressed = true;
    put("two");
    await fixture.settle(x);
    // It has asked for them.
    expect([...x.held.get(typeUrls.cluster)!.keys()]).toContain("two");
    expect(endpointsHeld()).toEqual(before);
    x.types.length = 0;
    put("three");
    await fixture.settle(x);
    expect(endpointsHeld()).toEqual([...before, "two"].toSorted());
    expect(x.types).toEqual([typeUrls.cluster, typeUrls.endpoints]);
    pressed = false;
    fixture.source.set("elsewhere", cluster("four"));
    await fixture.settle(x);
    expect(endpointsHeld()).toEqual([...before, "three", "two"].toSorted());
    expect(fixture.state("x", typeUrls.endpoints)?.state).toBe("SYNCED");
  });

  test("while changes keep coming, clusters that are gone go with the next of them", async () => {
    let pressed = true;
    using fixture = new Fixture({ pressed: () => pressed });
    const x = fixture.client("x");
    await fixture.settle(x);
    const put = (name: string): void =>
      fixture.source.change(() => {
        fixture.source.set("clusters", cluster(name));
        fixture.source.set("endpoints", endpoints(name, [2]));
        fixture.source.set("routes", route("routes", name));
      });
    const clusters = (): string[] => [...x.held.get(typeUrls.cluster)!.keys()].toSorted();
    put("two");
    await fixture.settle(x);
    fixture.source.change(() => {
      fixture.source.delete("clusters", "two");
      fixture.source.delete("endpoints", "two");
      fixture.source.set("routes", route("routes", "one"));
    });
    await fixture.settle(x);
    expect(clusters()).toEqual(["inbound-x", "one", "two"]);
    x.types.length = 0;
    put("three");
    await fixture.settle(x);
    expect(clusters()).toEqual(["inbound-x", "one", "three"]);
    expect(x.types.filter((type) => type === typeUrls.cluster).length).toBe(1);
    fixture.source.change(() => {
      fixture.source.delete("clusters", "three");
      fixture.source.delete("endpoints", "three");
      fixture.source.set("routes", route("routes", "one"));
    });
    await fixture.settle(x);
    expect(clusters()).toEqual(["inbound-x", "one", "three"]);
    // What is taken in then may be nothing to this proxy.
    pressed = false;
    fixture.source.set("elsewhere", cluster("four"));
    await fixture.settle(x);
    expect(clusters()).toEqual(["inbound-x", "one"]);
    expect(fixture.state("x", typeUrls.cluster)?.state).toBe("SYNCED");
  });

  test("virtual hosts that name no new cluster do not wait for one; what names it does, until its endpoints are there", async () => {
    using fixture = new Fixture();
    const { source } = fixture;
    const x = fixture.client("x");
    source.setScopes("x", {
      [typeUrls.cluster]: ["clusters"],
      [typeUrls.endpoints]: ["endpoints"],
      [typeUrls.listener]: ["listeners"],
      [typeUrls.route]: ["routes"],
      [typeUrls.virtualHost]: ["hosts"],
    });
    const put = (name: string, to: string, domain = name): void =>
      source.set("hosts routes", virtualHost("routes", name, [domain], to));
    source.change(() => {
      source.set("routes", hostlessRoute("routes"));
      put("old", "one");
      put("moved", "one");
    });
    await fixture.settle(x);
    expect([...x.held.get(typeUrls.virtualHost)!.keys()].toSorted()).toEqual(["routes/moved", "routes/old"]);
    x.silent = true;
    source.change(() => {
      source.set("clusters", cluster("two"));
      source.set("endpoints", endpoints("two", [2]));
      put("old", "one", "other");
      put("moved", "two");
      put("new", "two");
    });
    x.types.length = 0;
    const hostsIn = (messages: readonly Message[]): string =>
      messages.map((message) => Buffer.concat(message.pieces).toString("latin1")).join("");
    x.messages.length = 0;
    await fixture.settle(x);
    // What is sent is one write.
    expect(x.types).toEqual([typeUrls.cluster, typeUrls.virtualHost]);
    expect(hostsIn(x.messages)).toContain("other");
    expect(hostsIn(x.messages)).not.toMatch(/routes\/(new|moved)/);
    expect(fixture.state("x", typeUrls.virtualHost)?.state).toBe("STALE");
    x.answer();
    x.types.length = 0;
    await fixture.settle(x);
    expect(x.types).toEqual([typeUrls.endpoints, typeUrls.virtualHost]);
    expect(x.held.get(typeUrls.virtualHost)?.get("routes/new")?.clusters).toEqual(["two"]);
    expect(x.held.get(typeUrls.virtualHost)?.get("routes/moved")?.clusters).toEqual(["two"]);
    expect(fixture.state("x", typeUrls.virtualHost)?.state).toBe("SYNCED");
  });

  test("routes do not wait for clusters that only changed, however often they do", async () => {
    using fixture = new Fixture({ limits: { orderTimeoutMs: 5000 } });
    const x = fixture.client("x");
    await fixture.settle(x);
    x.silent = true;
    x.types.length = 0;
    for (const timeoutMs of [200, 300, 400]) {
      fixture.source.set("clusters", cluster("one", timeoutMs));
      await fixture.settle(x);
    }
    fixture.source.set("routes", route("routes", "other"));
    await fixture.settle(x);
    expect(x.types).toEqual([typeUrls.cluster, typeUrls.endpoints, typeUrls.route]);
  });
});

describe("faults", () => {
  test("a stream that fails while it is served ends, is logged with the cause, and harms nobody else", async () => {
    const lines: string[] = [];
    using fixture = new Fixture({
      logger: jsonLogger({ level: "warn", write: (line) => lines.push(line), now: () => 0 }),
    });
    const y = fixture.client("y");
    let ended: WeftError | undefined;
    const session = fixture.hub.open("delta", {
      send: () => {
        throw new TypeError("broken pipe");
      },
      end: (reason) => {
        ended = reason;
      },
      abort: () => undefined,
      retire: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
    });
    fixture.source.setScopes("x", { [typeUrls.cluster]: ["clusters"] });
    const node: ProxyNode = {
      id: "x",
      cluster: "",
      metadata: {},
      version: "",
      locality: { region: "", zone: "", subzone: "" },
    };
    const versions = { one: cluster("one").version };
    session.receive(() => ({
      kind: "delta",
      node,
      typeUrl: typeUrls.cluster,
      nonce: "",
      refusal: undefined,
      subscribe: [],
      unsubscribe: [],
      versions,
    }));
    await fixture.settle(y);
    expect(fixture.hub.figures().streams).toBe(2);
    fixture.source.set("clusters", cluster("one", 300));
    await fixture.settle(y);
    expect(ended).toMatchObject({ code: "Internal" });
    expect(lines.join()).toContain("broken pipe");
    expect(fixture.hub.figures().streams).toBe(1);
    expect(fixture.state("y", typeUrls.cluster)?.state).toBe("SYNCED");
  });
});

describe("status", () => {
  test("tells state, version and since when", async () => {
    using fixture = new Fixture();
    const x = fixture.client("x");
    await fixture.settle(x);
    const synced = fixture.state("x", typeUrls.cluster);
    expect(synced).toMatchObject({ state: "SYNCED", version: expect.stringMatching(/\/\d+$/) as string });
    fixture.clock.advance(5000);
    expect(fixture.state("x", typeUrls.cluster)?.since).toBe(synced?.since);
    fixture.source.set("clusters", cluster("one", 500));
    await turn();
    const stale = fixture.state("x", typeUrls.cluster);
    expect(stale).toMatchObject({ state: "STALE", version: synced?.version });
    expect(stale?.since).toBe(fixture.clock.now());
    await fixture.settle(x);
    expect(fixture.state("x", typeUrls.cluster)?.version).not.toBe(synced?.version);
    expect(fixture.state("x", typeUrls.nameTable)?.state).toBe("NEVER");
  });

  test("tells the version that was acknowledged last, not the one that was refused", async () => {
    using fixture = new Fixture();
    const x = fixture.client("x");
    await fixture.settle(x);
    const good = fixture.state("x", typeUrls.cluster)?.version;
    fixture.source.set("clusters", cluster("one", badNumber));
    await fixture.settle(x);
    expect(fixture.state("x", typeUrls.cluster)).toMatchObject({ state: "NACKED", version: good });
  });

  test("counts who is in sync and who refuses, a proxy with two streams once, and names those who refuse", async () => {
    using fixture = new Fixture();
    const [x, y, z] = [fixture.client("x"), fixture.client("y"), fixture.client("z")];
    await fixture.settle(x, y, z);
    const again = fixture.client("x");
    await fixture.settle(again);
    expect(fixture.hub.standings()).toMatchObject({ connected: 3, inSync: 3, refusing: 0 });
    fixture.source.set("endpoints", endpoints("one", [2]));
    await turn();
    expect(fixture.hub.standings()).toMatchObject({ connected: 3, inSync: 0, refusing: 0 });
    fixture.source.set("clusters", cluster("one", badNumber));
    await fixture.settle(x, again, y, z);
    expect(fixture.hub.standings()).toMatchObject({ connected: 3, inSync: 0, refusing: 3 });
    expect(fixture.hub.refusing().map(({ node }) => node.id)).toEqual(["x", "y", "z"]);
    fixture.source.set("clusters", cluster("one", 700));
    await fixture.settle(x, again, y, z);
    expect(fixture.hub.standings()).toMatchObject({ connected: 3, inSync: 3, refusing: 0 });
    expect(fixture.hub.refusing()).toEqual([]);
  });

  test("tells since when, however late it is asked", async () => {
    using fixture = new Fixture();
    const x = fixture.client("x");
    await fixture.settle(x);
    fixture.source.set("endpoints", endpoints("one", [2]));
    await fixture.settle(x);
    const answered = fixture.clock.now();
    fixture.clock.advance(60_000);
    const { state, since = 0 } = fixture.state("x", typeUrls.endpoints) ?? {};
    expect(state).toBe("SYNCED");
    expect(Math.abs(answered - since)).toBeLessThan(200);
  });

  test("a refusal is a warning once, however long the search for what is refused", async () => {
    const lines: string[] = [];
    using fixture = new Fixture({
      logger: jsonLogger({ level: "warn", write: (line) => lines.push(line), now: () => 0 }),
    });
    const x = fixture.client("x", "delta", "whole");
    await fixture.settle(x);
    const set = (port: number) =>
      fixture.source.change(() => {
        for (let at = 0; at < 20; at += 1)
          fixture.source.set("clusters", cluster(`c${at}`, at === 11 ? badNumber : port, "one"));
      });
    set(100);
    await fixture.settle(x);
    expect(fixture.state("x", typeUrls.cluster)).toMatchObject({ state: "NACKED", refused: { resources: ["c11"] } });
    expect(lines.length).toBe(1);
    fixture.source.set("clusters", cluster("c12", badNumber, "one"));
    await fixture.settle(x);
    expect(lines.length).toBe(2);
  });

  test("tells what is refused until it changes, and calls back once for a burst", async () => {
    using fixture = new Fixture();
    let calls = 0;
    using _listening = fixture.hub.onChange(() => {
      calls += 1;
    });
    const [x, y] = [fixture.client("x"), fixture.client("y")];
    await fixture.settle(x, y);
    fixture.clock.advance(1000);
    calls = 0;
    fixture.source.set("clusters", cluster("one", badNumber));
    await fixture.settle(x, y);
    expect(fixture.state("x", typeUrls.cluster)).toMatchObject({ state: "NACKED", refused: { resources: ["one"] } });
    fixture.clock.advance(100);
    expect(calls).toBe(1);
    const sent = fixture.hub.figures().messagesSent;
    fixture.source.set("clusters", cluster("other", 100, "one"));
    await fixture.settle(x, y);
    // The refused one is not sent again with others; its endpoints follow the new cluster.
    expect(fixture.state("x", typeUrls.cluster)).toMatchObject({ state: "NACKED", refused: { resources: ["one"] } });
    expect(fixture.hub.figures().messagesSent - sent).toBe(4);
    fixture.source.set("clusters", cluster("one", 700));
    await fixture.settle(x, y);
    expect(fixture.state("x", typeUrls.cluster)?.state).toBe("SYNCED");
  });
});

function contentOfPort(port: number): string {
  return contentOf(typeUrls.endpoints, endpoints("one", [port]).any).content;
}

describe("a stream that was let in", () => {
  const node = { id: "x", cluster: "", metadata: {}, version: "", locality: { region: "", zone: "", subzone: "" } };
  const asks = {
    kind: "delta",
    typeUrl: typeUrls.cluster,
    nonce: "",
    refusal: undefined,
    node,
    subscribe: ["*"],
    unsubscribe: [],
    versions: {},
  } as const;

  /** A stream, and how it ended. */
  function opened(fixture: Fixture, admit: Admit) {
    const [ended, told, read]: [string[], unknown[], string[]] = [[], [], []];
    const session = fixture.hub.open(
      "delta",
      {
        send: (messages) => void told.push(...messages),
        end: (reason) => void ended.push(reason?.code ?? "done"),
        abort: () => undefined,
        retire: () => undefined,
        pause: () => void read.push("pause"),
        resume: () => void read.push("resume"),
      },
      admit,
    );
    session.receive(() => asks);
    return { ended, told, read };
  }

  test("is looked at again, and ended when it may not go on", async () => {
    using fixture = new Fixture({ readmitMs: 1000 });
    fixture.source.setScopes("x", { [typeUrls.cluster]: ["clusters"] });
    let now = async (each: ProxyNode): Promise<ProxyNode> => each;
    const { ended, told, read } = opened(fixture, (each) => now(each));
    await fixture.settle();
    expect([told.length, read]).toEqual([1, ["pause", "resume"]]);
    now = () => Promise.reject(new WeftError("Unavailable", "nobody answers"));
    fixture.clock.advance(3000);
    await turn();
    expect(ended).toEqual([]);
    now = () => Promise.reject(new WeftError("Unauthenticated", "the token has ended"));
    fixture.clock.advance(1000);
    await turn();
    expect(ended).toEqual(["Unauthenticated"]);
  });

  test("comes back when it may read more or less than before", async () => {
    using fixture = new Fixture({ readmitMs: 1000 });
    fixture.source.setScopes("x", { [typeUrls.cluster]: ["clusters"] });
    let more = {};
    const { ended } = opened(fixture, async (each) => ({ ...each, ...more }));
    await fixture.settle();
    fixture.clock.advance(3000);
    await turn();
    expect(ended).toEqual([]);
    more = { withoutSecrets: true };
    fixture.clock.advance(1000);
    await turn();
    expect(ended).toEqual(["Unavailable"]);
  });

  test("was told nothing before it was", async () => {
    using fixture = new Fixture();
    fixture.source.setScopes("x", { [typeUrls.cluster]: ["clusters"] });
    const { ended, told } = opened(fixture, () => Promise.reject(new WeftError("PermissionDenied", "not this one")));
    await fixture.settle();
    expect([told, ended]).toEqual([[], ["PermissionDenied"]]);
  });
});
