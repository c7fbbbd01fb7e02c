import { describe, expect, it } from "vitest";
import { captureRules, defaultCapture } from "./capture.ts";

/** The rules of one table, without what only frames them. */
function rules(text: string, table: "nat" | "raw"): string[] {
  const part = text.split("*").find((each) => each.startsWith(`${table}\n`)) ?? "";
  return part.split("\n").filter((line) => line.startsWith("-A"));
}

describe("capture rules", () => {
  it("are those of Istio's injection by default", () => {
    expect(captureRules(defaultCapture)).toBe(
      [
        "*nat",
        ":ISTIO_INBOUND - [0:0]",
        ":ISTIO_REDIRECT - [0:0]",
        ":ISTIO_IN_REDIRECT - [0:0]",
        ":ISTIO_OUTPUT - [0:0]",
        "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001",
        "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006",
        "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN",
        "-A PREROUTING -p tcp -j ISTIO_INBOUND",
        "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN",
        "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN",
        "-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN",
        "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
        "-A OUTPUT -j ISTIO_OUTPUT",
        "-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN",
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
        "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
        "COMMIT",
        "",
      ].join("\n"),
    );
  });

  it("redirect DNS before anything on loopback returns, and keep its two halves apart", () => {
    const text = captureRules({ ...defaultCapture, dns: { servers: ["10.110.0.10"], port: 15053 } });
    const nat = rules(text, "nat");
    expect(nat.slice(nat.indexOf("-A OUTPUT -j ISTIO_OUTPUT") + 2)).toEqual([
      "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp -m multiport ! --dports 53,15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
      "-A ISTIO_OUTPUT -o lo -p tcp ! --dport 53 -m owner ! --uid-owner 1337 -j RETURN",
      "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
      "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT",
      "-A ISTIO_OUTPUT -o lo -p tcp ! --dport 53 -m owner ! --gid-owner 1337 -j RETURN",
      "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN",
      "-A ISTIO_OUTPUT -j ISTIO_OUTPUT_DNS",
      "-A ISTIO_OUTPUT_DNS -p tcp --dport 53 -d 10.110.0.10/32 -j REDIRECT --to-ports 15053",
      "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -d 10.110.0.10/32 -j REDIRECT --to-ports 15053",
      "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
      "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
    ]);
    expect(rules(text, "raw")).toEqual([
      "-A OUTPUT -j ISTIO_OUTPUT_DNS",
      "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -m owner --uid-owner 1337 -j CT --zone 1",
      "-A ISTIO_OUTPUT_DNS -p udp --sport 15053 -m owner --uid-owner 1337 -j CT --zone 2",
      "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -m owner --gid-owner 1337 -j CT --zone 1",
      "-A ISTIO_OUTPUT_DNS -p udp --sport 15053 -m owner --gid-owner 1337 -j CT --zone 2",
      "-A PREROUTING -j ISTIO_INBOUND",
      "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -d 10.110.0.10/32 -j CT --zone 2",
      "-A ISTIO_INBOUND -p udp --sport 53 -s 10.110.0.10/32 -j CT --zone 1",
    ]);
  });

  it("capture only the inbound ports that are listed; none means no inbound capture", () => {
    const listed = rules(captureRules({ ...defaultCapture, includeInboundPorts: [80, 443] }), "nat");
    expect(listed.filter((rule) => rule.includes("ISTIO_INBOUND"))).toEqual([
      "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN",
      "-A PREROUTING -p tcp -j ISTIO_INBOUND",
      "-A ISTIO_INBOUND -p tcp --dport 80 -j ISTIO_IN_REDIRECT",
      "-A ISTIO_INBOUND -p tcp --dport 443 -j ISTIO_IN_REDIRECT",
    ]);
    const none = rules(captureRules({ ...defaultCapture, includeInboundPorts: [] }), "nat");
    expect(none.filter((rule) => rule.includes("PREROUTING"))).toEqual([]);
  });

  it("exclude outbound ports first, then ranges, then include ports and ranges", () => {
    const text = captureRules({
      ...defaultCapture,
      excludeOutboundPorts: [22],
      excludeOutboundRanges: ["10.1.0.0/16"],
      includeOutboundPorts: [3306],
      includeOutboundRanges: ["10.0.0.0/8", "1.2.3.4/32"],
      excludeInterfaces: ["eth1"],
    });
    const nat = rules(text, "nat");
    expect(nat.slice(0, 2)).toEqual(["-A PREROUTING -i eth1 -j RETURN", "-A OUTPUT -o eth1 -j RETURN"]);
    const output = nat.filter((rule) => rule.startsWith("-A ISTIO_OUTPUT "));
    expect(output.slice(0, 2)).toEqual([
      "-A ISTIO_OUTPUT -p tcp --dport 22 -j RETURN",
      "-A ISTIO_OUTPUT -p udp --dport 22 -j RETURN",
    ]);
    expect(output.slice(-5)).toEqual([
      "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
      "-A ISTIO_OUTPUT -d 10.1.0.0/16 -j RETURN",
      "-A ISTIO_OUTPUT -p tcp --dport 3306 -j ISTIO_REDIRECT",
      "-A ISTIO_OUTPUT -d 10.0.0.0/8 -j ISTIO_REDIRECT",
      "-A ISTIO_OUTPUT -d 1.2.3.4/32 -j ISTIO_REDIRECT",
    ]);
  });

  it("let the application's loopback traffic through the proxy only when a range asks for it", () => {
    const text = captureRules({ ...defaultCapture, includeOutboundRanges: ["127.1.2.0/24"] });
    expect(rules(text, "nat").filter((rule) => rule.includes("-o lo -m owner !"))).toEqual([]);
  });

  it("let the node's probes in ahead of every capture", () => {
    const nat = rules(captureRules({ ...defaultCapture, probeSource: "169.254.7.127" }), "nat");
    const inbound = nat.filter((rule) => rule.startsWith("-A ISTIO_INBOUND"));
    expect(inbound[1]).toBe("-A ISTIO_INBOUND -s 169.254.7.127/32 -p tcp -j RETURN");
  });
});
