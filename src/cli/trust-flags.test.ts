import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { trustOptions, withTrustFlags, type TrustFlags } from "./trust-flags.ts";

function read(...words: readonly string[]) {
  const command = withTrustFlags(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse(words, { from: "user" });
  return trustOptions(command.opts<TrustFlags>());
}

const files = ["--roots", "/etc/roots.pem", "--token", "/etc/token"];
const trust = { rootsFile: "/etc/roots.pem", tokenFile: "/etc/token", serverName: "istiod.istio-system.svc" };

describe("the agent's flags of identities", () => {
  it("are all off unless told", () => {
    expect(read()).toEqual({});
    expect(read(...files)).toEqual({});
  });

  it("secure the way to xDS, and give identities to workloads, each apart", () => {
    expect(read("--xds-tls", ...files)).toEqual({ xdsTrust: trust });
    expect(read("--ca", "127.0.0.1:15012", "--certificate-ttl", "90m", ...files)).toEqual({
      identity: {
        ca: "127.0.0.1:15012",
        trust,
        trustDomain: "cluster.local",
        rootNamespace: "istio-system",
        ttlMs: 5_400_000,
      },
    });
  });

  it("say what is missing", () => {
    expect(() => read("--xds-tls", "--roots", "/etc/roots.pem")).toThrow("need --roots and --token");
    expect(() => read("--ca", "x", "--certificate-ttl", "soon", ...files)).toThrow("write a duration");
  });
});
