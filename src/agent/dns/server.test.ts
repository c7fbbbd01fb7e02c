import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { Resolver } from "node:dns/promises";
import { afterEach, describe, expect, it } from "vitest";
import { freePort } from "#base/free-port.ts";
import { systemClock as clock } from "#base/clock.ts";
import { serveInside } from "#runtime/namespace-socket.ts";
import { HostForwarder } from "./forwarder.ts";
import { DnsServer } from "./server.ts";
import type { Forwarder } from "./server.ts";
import { LookupTable } from "./table.ts";

const here = "/proc/self/ns/net";
const owned: Disposable[] = [];
afterEach(() => {
  for (const one of owned.splice(0)) one[Symbol.dispose]();
});

const nobody: Forwarder = { forward: () => Promise.resolve(undefined) };
const hosts = {
  "reviews.shop.svc.cluster.local": {
    ips: ["10.110.0.5"],
    registry: "Kubernetes",
    shortname: "reviews",
    namespace: "shop",
  },
  "many.example.com": {
    ips: Array.from({ length: 120 }, (_, at) => `10.0.0.${at}`),
    registry: "External",
    shortname: "",
    namespace: "",
  },
};
const place = { namespace: "shop", clusterDomain: "cluster.local" };

/** A server on one free port over both transports, and a resolver that asks it. */
async function serve(forwarder: Forwarder = nobody): Promise<{ server: DnsServer; resolver: Resolver; port: number }> {
  const port = await freePort();
  const server = new DnsServer(await serveInside(here, { host: "127.0.0.1", port }), forwarder);
  owned.push(server);
  const resolver = new Resolver({ timeout: 30_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return { server, resolver, port };
}

describe("a Pod's name server", () => {
  it("fails every question until it knows the names, then answers", async () => {
    const { server, resolver } = await serve();
    await expect(resolver.resolve4("reviews.shop")).rejects.toMatchObject({ code: "ESERVFAIL" });
    server.setTable(new LookupTable(hosts, place));
    expect(await resolver.resolve4("REVIEWS.shop", { ttl: true })).toEqual([{ address: "10.110.0.5", ttl: 30 }]);
    await expect(resolver.resolve6("reviews.shop")).rejects.toMatchObject({ code: "ENODATA" });
    await expect(resolver.resolve4("elsewhere.org")).rejects.toMatchObject({ code: "ESERVFAIL" });
  });

  it("answers over TCP what is too long for UDP, in another order each time", async () => {
    const { server, resolver } = await serve();
    server.setTable(new LookupTable(hosts, place));
    const first = await resolver.resolve4("many.example.com");
    const second = await resolver.resolve4("many.example.com");
    expect(first.toSorted()).toEqual(hosts["many.example.com"].ips.toSorted());
    expect(second).not.toEqual(first);
    expect(second.toSorted()).toEqual(first.toSorted());
  });

  it("closes a connection that sends no DNS", async () => {
    const { port } = await serve();
    const socket = connect(port, "127.0.0.1");
    socket.write(Buffer.from([0, 2, 1, 1]));
    const [hadError] = (await once(socket, "close")) as [boolean];
    expect(hadError).toBe(false);
  });

  it("passes other questions on to the host's resolvers and takes only their answers", async () => {
    const upstream = createSocket("udp4");
    const asked: Buffer[] = [];
    upstream.on("message", (bytes, from) => {
      asked.push(bytes);
      const wrong = Buffer.from(bytes);
      wrong.writeUInt16BE((wrong.readUInt16BE(0) + 1) & 0xffff, 0);
      const answer = Buffer.concat([bytes, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, 7])]);
      answer.writeUInt16BE(0x8180, 2);
      answer.writeUInt16BE(1, 6);
      answer.writeUInt16BE(0, 10);
      upstream.send(wrong, from.port, from.address);
      upstream.send(answer, from.port, from.address);
    });
    upstream.bind(0, "127.0.0.3");
    await once(upstream, "listening");
    const { port } = upstream.address();
    const forwarder = new HostForwarder(here, ["127.0.0.3"], clock, port);
    owned.push(forwarder, { [Symbol.dispose]: () => upstream.close() });
    const { server, resolver } = await serve(forwarder);
    server.setTable(new LookupTable(hosts, place));
    expect(await resolver.resolve4("elsewhere.org")).toEqual(["192.0.2.7"]);
    expect(asked).toHaveLength(1);
  });

  it("asks the host's resolvers for records that it has not of a name, and cuts what is too long for a client", async () => {
    const forward = (query: Uint8Array): Promise<Uint8Array> =>
      Promise.resolve(Buffer.concat([query.subarray(0, 2), Buffer.alloc(600)]));
    const { server } = await serve({ forward });
    server.setTable(new LookupTable(hosts, place));
    const mail = Buffer.concat([
      Buffer.from([7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      ...["many", "example", "com"].map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.from([0, 0, 15, 0, 1]),
    ]);
    const response = Buffer.from((await server.answer(mail, "udp")) ?? []);
    expect({ code: response.readUInt16BE(2) & 0xf, cut: (response.readUInt16BE(2) & 0x0200) !== 0 }).toEqual({
      code: 0,
      cut: true,
    });
    expect((await server.answer(mail, "tcp"))?.length).toBe(602);
  });

  it("says itself that a name of the cluster's domain does not exist, and tells nobody else of it", async () => {
    const asked: Uint8Array[] = [];
    const forward = (query: Uint8Array): Promise<undefined> => {
      asked.push(query);
      return Promise.resolve(undefined);
    };
    const { server, resolver } = await serve({ forward });
    server.setTable(new LookupTable(hosts, place));
    for (const name of ["nobody.shop.svc.cluster.local", "elsewhere.org.svc.Cluster.Local", "cluster.local"])
      await expect(resolver.resolve4(name)).rejects.toMatchObject({ code: "ENOTFOUND" });
    expect(asked).toEqual([]);
  });

  it("asks the host's resolvers over TCP what it is asked over TCP", async () => {
    const answers = Buffer.concat(
      Array.from({ length: 100 }, (_, at) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, at])),
    );
    const respond = (query: Buffer, flags: number, records: number): Buffer => {
      const end = query.indexOf(0, 12) + 5;
      const answer = Buffer.concat([query.subarray(0, end), records === 0 ? Buffer.alloc(0) : answers]);
      for (const [at, value] of [flags, 1, records, 0, 0].entries()) answer.writeUInt16BE(value, 2 + 2 * at);
      return answer;
    };
    const tcp = createServer((socket) => {
      socket.once("data", (bytes: Buffer) => {
        const answer = respond(bytes.subarray(2), 0x8180, 100);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(length);
        socket.write(answer);
      });
    }).listen(0, "127.0.0.4");
    await once(tcp, "listening");
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket("udp4").bind(port, "127.0.0.4");
    // Cut: the client is to come back over TCP.
    udp.on("message", (bytes, from) => udp.send(respond(bytes, 0x8380, 0), from.port, from.address));
    await once(udp, "listening");
    const forwarder = new HostForwarder(here, ["127.0.0.4"], clock, port);
    owned.push(forwarder, { [Symbol.dispose]: () => [tcp.close(), udp.close()] });
    const { server, resolver } = await serve(forwarder);
    server.setTable(new LookupTable(hosts, place));
    expect(await resolver.resolve4("large.example.org")).toHaveLength(100);
  });

  it("forwards only so many questions of a Pod at once", async () => {
    const waiting: (() => void)[] = [];
    const forwarder: Forwarder = {
      forward: () => new Promise((resolve) => waiting.push(() => resolve(undefined))),
    };
    const { server } = await serve(forwarder);
    server.setTable(new LookupTable(hosts, place));
    const query = Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x78, 0, 0, 1, 0, 1]);
    const many = Array.from({ length: 65 }, async () => server.answer(query, "udp"));
    const refused = await many[64];
    expect(refused?.[3]).toBe(0x82);
    expect(waiting).toHaveLength(64);
    for (const end of waiting) end();
    await Promise.all(many);
    expect(await Promise.race([server.answer(query, "udp"), Promise.resolve("asked")])).toBe("asked");
    expect(waiting).toHaveLength(65);
    waiting[64]?.();
  });
});
