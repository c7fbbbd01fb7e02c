import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { Resolver } from "node:dns/promises";
import { afterEach, describe, expect, it } from "vitest";
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
  const probe = createSocket("udp4").bind(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const server = new DnsServer(await serveInside(here, { host: "127.0.0.1", port }), forwarder);
  owned.push(server);
  const resolver = new Resolver({ timeout: 1000, tries: 1 });
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
});
