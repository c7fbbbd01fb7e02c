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

const told = ["--roots", "/etc/roots.pem", "--token", "/etc/token"];
const names = { serverName: "istiod.istio-system.svc", rootNamespace: "istio-system" };

describe("the agent's flags of identities", () => {
  it("are all off unless told", () => {
    expect(read()).toEqual({});
    expect(read(...told)).toEqual({});
  });

  it("secure the way to xDS, and give identities to workloads, each apart", () => {
    expect(read("--xds-tls")).toEqual({ xdsTls: true, trust: names });
    expect(read("--ca", "127.0.0.1:15012", "--certificate-ttl", "90m", ...told)).toEqual({
      xdsTls: false,
      trust: { ...names, rootsFile: "/etc/roots.pem", tokenFile: "/etc/token" },
      identity: { ca: "127.0.0.1:15012", trustDomain: "cluster.local", ttlMs: 5_400_000 },
    });
  });

  it("say what is wrong with them", () => {
    expect(() => read("--ca", "x", "--certificate-ttl", "soon")).toThrow("write a duration");
  });
});
