import { resolve } from "node:path";
import { Option, type Command } from "commander";
import type { ProxyOptions } from "#agent/options.ts";
import { durationValue } from "./output.ts";

/** Flags of an agent about identities: those of its workloads, the control plane's and its own. */
export interface TrustFlags {
  readonly xdsTls?: boolean;
  readonly ca?: string;
  readonly roots?: string;
  readonly token?: string;
  readonly serverName: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  /** Milliseconds. */
  readonly certificateTtl: number;
}

/** Adds the flags to a command. */
export function withTrustFlags(command: Command): Command {
  return command
    .option("--xds-tls", "speak TLS to where xDS is served, and prove the agent by its token")
    .option("--ca <address>", "where certificates of workloads are signed, over TLS; without it they have none")
    .option(
      "--roots <file>",
      "authorities that the control plane's certificate is checked by, in PEM; those that it publishes unless told",
    )
    .option("--token <file>", "bearer token of the agent's service account; asked of its cluster unless told")
    .option("--server-name <name>", "name that the control plane's certificate must have", "istiod.istio-system.svc")
    .option("--trust-domain <domain>", "the mesh's trust domain", "cluster.local")
    .option("--root-namespace <name>", "namespace in which the mesh publishes its authorities", "istio-system")
    .addOption(
      new Option("--certificate-ttl <duration>", "how long certificates of workloads are to be good")
        .argParser(durationValue)
        .default(durationValue("24h"), "24h"),
    );
}

/** What the flags say. */
export function trustOptions(flags: TrustFlags): Pick<ProxyOptions, "xdsTls" | "trust" | "identity"> {
  const { xdsTls = false, ca, roots, token, serverName, trustDomain, rootNamespace, certificateTtl } = flags;
  if (!xdsTls && ca === undefined) return {};
  const trust = {
    ...(roots !== undefined && { rootsFile: resolve(roots) }),
    ...(token !== undefined && { tokenFile: resolve(token) }),
    serverName,
    rootNamespace,
  };
  return { xdsTls, trust, ...(ca !== undefined && { identity: { ca, trustDomain, ttlMs: certificateTtl } }) };
}
