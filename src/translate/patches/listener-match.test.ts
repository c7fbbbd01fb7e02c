import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { FilterChainSchema } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { socketAddress } from "../address.ts";
import { virtualInbound } from "../names.ts";
import { meetsChain, meetsListener } from "./listener-match.ts";
import type { ApplyTo, Match, Patch } from "./patch.ts";

function removing(listener: NonNullable<Match["listener"]>, applyTo: ApplyTo = "FILTER_CHAIN"): Patch {
  return { applyTo, operation: "REMOVE", match: { listener } };
}

const listener = create(ListenerSchema, { name: "10.0.0.1_80", address: socketAddress("10.0.0.1", 80) });
const virtual = create(ListenerSchema, { name: virtualInbound, address: socketAddress("0.0.0.0", 15_006) });
const chain = create(FilterChainSchema, {
  name: "a",
  filterChainMatch: {
    destinationPort: 8080,
    serverNames: ["a.example.com", "b.example.com"],
    transportProtocol: "tls",
    applicationProtocols: ["http/1.1", "h2"],
  },
});
const bare = create(FilterChainSchema, { name: "b" });

describe("the match of a listener", () => {
  it.each([
    [{}, true],
    [{ name: "10.0.0.1_80" }, true],
    [{ name: "10.0.0.1" }, false],
    [{ portNumber: 80 }, true],
    [{ portNumber: 8080 }, false],
    // Not used any more.
    [{ portName: "grpc" }, true],
  ])("%j: %j", (match, meets) => {
    expect(meetsListener(listener, removing(match))).toBe(meets);
  });

  it("looks for the port of a listener for any port in its chains, unless the listener itself is meant", () => {
    expect(meetsListener(virtual, removing({ portNumber: 8080 }))).toBe(true);
    expect(meetsListener(virtual, removing({ portNumber: 8080 }, "LISTENER"))).toBe(false);
    expect(meetsChain(virtual, chain, removing({ portNumber: 8080 }))).toBe(true);
    expect(meetsChain(virtual, chain, removing({ portNumber: 8081 }))).toBe(false);
    expect(meetsChain(virtual, bare, removing({ portNumber: 8080 }))).toBe(false);
    expect(meetsChain(listener, bare, removing({ portNumber: 80 }))).toBe(true);
  });
});

describe("the match of a filter chain", () => {
  it.each([
    [{}, true],
    [{ name: "a" }, true],
    [{ name: "c" }, false],
    [{ sni: "b.example.com" }, true],
    [{ sni: "*.example.com" }, false],
    [{ transportProtocol: "tls" }, true],
    [{ transportProtocol: "raw_buffer" }, false],
    [{ applicationProtocols: "h2" }, true],
    [{ applicationProtocols: "h2,http/1.1" }, true],
    [{ applicationProtocols: "h2,h3" }, false],
    [{ destinationPort: 8080 }, true],
    [{ destinationPort: 80 }, false],
    [{ name: "a", sni: "c.example.com" }, false],
  ])("%j: %j", (filterChain, meets) => {
    const patch = removing({ filterChain });
    expect(meetsChain(listener, chain, patch)).toBe(meets);
    const open = Object.keys(filterChain).length === 0;
    expect(meetsChain(listener, bare, patch)).toBe(open);
  });
});
