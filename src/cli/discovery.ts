import { isIP } from "node:net";
import { InvalidArgumentError, type Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { DiscoveryOptions } from "#discovery/discovery.ts";
import type { IdentityOptions } from "#discovery/identity/mesh-identity.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import type { ServiceAccountName } from "#identity/caller.ts";
import { type AuthorityKey, authorityKeys, defaultLifetimes } from "#identity/settings.ts";
import { wholeNumber } from "./output.ts";
import { type LogFlags, stderrLogger, terminated, withLogFlag } from "./processes.ts";
import { weftVersion } from "./version.ts";

interface DiscoveryFlags extends LogFlags {
  readonly meshApi: string;
  readonly clusterApi: ReadonlyMap<string, string>;
  readonly clusterSockets: boolean;
  readonly mesh: string;
  readonly maxProxies?: number;
  readonly xdsSocket?: string;
  readonly xdsPort?: number;
  readonly tlsSocket?: string;
  readonly tlsAddress?: ListenAddress;
  readonly serverName?: readonly string[];
  readonly nodeAccount?: readonly ServiceAccountName[];
  readonly tokenCheck: "keys" | "review";
  readonly caKey: AuthorityKey;
  readonly webhookAddress?: ListenAddress;
  readonly sharePorts?: boolean;
  readonly membersHost?: readonly string[];
  readonly membersXdsPort?: number;
  readonly membersWebhookPort?: number;
  readonly revision: string;
  readonly statusSocket: string;
  readonly statusAddress?: ListenAddress;
  readonly replica?: string;
  readonly ownCluster?: string;
}

/** Reads `HOST:PORT`, an IPv6 address in brackets. */
function tlsAddress(text: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const [host, port] = [bracketed ?? plain ?? "", Number(digits)];
  if (isIP(host) === 0 || !(port <= 65_535)) throw new InvalidArgumentError("write it as 0.0.0.0:15012 or [::]:15012.");
  return { host, port, tls: true };
}

function several(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Reads the name of a replica, which becomes part of an object's name. */
function replicaName(text: string): string {
  if (/^[a-z0-9]([-a-z0-9.]{0,60}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("write it in small letters, digits, - and ., such as weft-discovery-0.");
}

/** Reads `CLUSTER=KUBECONFIG`. */
function clusterApi(text: string, before: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const [, name, file] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || file === undefined) throw new InvalidArgumentError("write it as east=/path/of/kubeconfig.");
  return new Map([...before, [name, file]]);
}

/** Reads `NAMESPACE/NAME`. */
function serviceAccount(text: string, before: readonly ServiceAccountName[] = []): readonly ServiceAccountName[] {
  const [namespace = "", name = "", more] = text.split("/");
  if (namespace === "" || name === "" || more !== undefined) {
    throw new InvalidArgumentError("write it as istio-system/weft-agent.");
  }
  return [...before, { namespace, name }];
}

/** What the control plane calls itself: Istio's name, for the agents of stock sidecars too. */
const ownNames = ["istiod.istio-system.svc"];

/** The name of the Service of a revision, by which its webhooks and injected proxies reach it. */
function revisionNames(revision: string): readonly string[] {
  return revision === "default" ? [] : [`istiod-${revision}.istio-system.svc`];
}

/** Addresses by which other machines do not reach this one. */
const elsewhere = /^(?:0\.0\.0\.0|127\..*|::1?)$/;

const ownAccounts = [{ namespace: "istio-system", name: "weft-agent" }];

function identityOf(flags: DiscoveryFlags): IdentityOptions {
  const { serverName = [], nodeAccount = ownAccounts, tokenCheck: tokens, caKey: authorityKey } = flags;
  const names = [...ownNames, ...revisionNames(flags.revision), ...serverName];
  return { names, authorityKey, nodeAccounts: nodeAccount, tokens, lifetimes: defaultLifetimes };
}

/** How members reach the control plane, where it serves other machines. */
function reachedBy(flags: DiscoveryFlags): Pick<DiscoveryOptions, "reached"> {
  const { tlsAddress: tls, webhookAddress, membersHost = [], membersXdsPort, membersWebhookPort } = flags;
  if (!tls || !("host" in tls)) {
    if (membersHost.length === 0) return {};
    throw new WeftError("InvalidArgument", "--members-host needs --tls-address");
  }
  const own = membersHost.length > 0 || elsewhere.test(tls.host) ? membersHost : [tls.host];
  const webhooks = webhookAddress && "host" in webhookAddress ? (membersWebhookPort ?? webhookAddress.port) : undefined;
  const xds = membersXdsPort ?? tls.port;
  // A port that the system chooses is known to nobody else.
  if (xds === 0 || webhooks === 0) return {};
  return { reached: { hosts: own, xds, ...(webhooks !== undefined && { webhooks }) } };
}

/** Has others listen where it does. */
function sharing(flags: DiscoveryFlags): DiscoveryFlags {
  const { tlsAddress: tls, webhookAddress: webhooks } = flags;
  const shared = { shared: true } as const;
  return {
    ...flags,
    ...(tls && { tlsAddress: { ...tls, ...shared } }),
    ...(webhooks && { webhookAddress: { ...webhooks, ...shared } }),
  };
}

function optionsOf(given: DiscoveryFlags): DiscoveryOptions {
  const flags = given.sharePorts === true ? sharing(given) : given;
  const { xdsSocket, xdsPort, tlsSocket, tlsAddress: address, mesh, meshApi, statusSocket } = flags;
  const secure: readonly ListenAddress[] = [
    ...(tlsSocket === undefined ? [] : [{ socketPath: tlsSocket, tls: true }]),
    ...(address ? [address] : []),
  ];
  const xds: readonly ListenAddress[] = [
    // Agents' relays run as root; proxies have sockets of their own.
    ...(xdsSocket === undefined ? [] : [{ socketPath: xdsSocket }]),
    ...(xdsPort === undefined ? [] : [{ host: "127.0.0.1", port: xdsPort }]),
    ...secure,
  ];
  const { webhookAddress, revision, clusterApi: clusterApis, maxProxies } = flags;
  const identity = (secure.length > 0 || webhookAddress) && { identity: identityOf(flags) };
  const { replica, clusterSockets, statusAddress, ownCluster } = flags;
  const more = {
    version: weftVersion(),
    ...(ownCluster !== undefined && { ownCluster }),
    ...(webhookAddress && { webhooks: webhookAddress }),
    ...reachedBy(flags),
    ...(maxProxies !== undefined && { maxProxies }),
    ...(replica !== undefined && { replica }),
    ...(statusAddress && "host" in statusAddress && { statusAddress }),
    clusterSockets,
  };
  return { meshApi, clusterApis, mesh, xds, statusSocket, revision, startLimitMs: 30_000, ...identity, ...more };
}

/** `weft discovery`. */
export function discoveryCommand(program: Command): void {
  const command = withLogFlag(program.command("discovery"))
    .summary("run a mesh's control plane")
    .description(
      "Runs one revision of a mesh's control plane: follows the mesh's API and its clusters, and serves xDS. Over TLS it also is the mesh's certificate authority.",
    )
    .requiredOption("--mesh-api <url>", "URL of the mesh's API, http:// or unix://, or path of a kubeconfig")
    .option(
      "--cluster-api <name=kubeconfig>",
      "how the API of a cluster is reached, where it asks who its clients are; may be repeated",
      clusterApi,
      new Map(),
    )
    .option(
      "--no-cluster-sockets",
      "refuse Unix sockets in Cluster objects: for meshes whose users are not this machine's",
    )
    .requiredOption("--status-socket <path>", "Unix socket of the API of proxies")
    .option(
      "--status-address <host:port>",
      "address of this machine on which API servers of other machines are told of proxies; needs --replica",
      tlsAddress,
    )
    .option("--replica <name>", "name of this replica, where several run side by side", replicaName)
    .option(
      "--own-cluster <name>",
      "the cluster that it was installed into, where its administrators are told how the revision stands; needs --replica",
    )
    .option("--mesh <name>", "name of the Mesh object", "default")
    .option(
      "--revision <name>",
      "the revision that this control plane is: Istio's objects that the label istio.io/rev binds to another are left out",
      "default",
    )
    .option("--max-proxies <number>", "proxies that are served at once", wholeNumber(1, 1_000_000))
    .option("--xds-socket <path>", "Unix socket that xDS is served on in plain text")
    .option("--xds-port <port>", "loopback port that xDS is served on in plain text", wholeNumber(0, 65_535))
    .option("--tls-socket <path>", "Unix socket that xDS and certificates are served on over TLS")
    .option("--tls-address <host:port>", "address that xDS and certificates are served on over TLS", tlsAddress)
    .option("--webhook-address <host:port>", "address that clusters' admission webhooks are served on", tlsAddress)
    .option(
      "--share-ports",
      "let other control planes of this revision on this machine listen at --tls-address and --webhook-address too",
    )
    .option(
      "--members-host <host>",
      "address or name by which Pods and API servers of member clusters reach this control plane, told to weft cluster add; may be repeated for addresses; that of --tls-address unless given",
      several,
    )
    .option(
      "--members-xds-port <port>",
      "the port at which they reach --tls-address, where it is another",
      wholeNumber(1, 65_535),
    )
    .option(
      "--members-webhook-port <port>",
      "the port at which they reach --webhook-address, where it is another",
      wholeNumber(1, 65_535),
    )
    .option("--server-name <name>", "another name in the control plane's certificate; may be repeated", several)
    .option(
      "--node-account <namespace/name>",
      "service account of node agents, which act for the Pods of their node; may be repeated (default: istio-system/weft-agent)",
      serviceAccount,
    );
  command
    .addOption(
      command
        .createOption(
          "--token-check <way>",
          "by what callers' tokens are checked: their cluster's published keys, or its TokenReview",
        )
        .choices(["keys", "review"])
        .default("keys"),
    )
    .addOption(
      command
        .createOption(
          "--ca-key <type>",
          "the key of the mesh's authority, where none is plugged in and none was made before",
        )
        .choices(authorityKeys)
        .default("P-256"),
    )
    .addHelpText(
      "after",
      "\nExample:\n  weft discovery --mesh-api unix:///run/weft/demo/api-mesh.sock --tls-address 0.0.0.0:15012 --status-socket /run/weft/demo/discovery.sock",
    )
    .action(async (flags: DiscoveryFlags) => {
      const { runDiscovery } = await import("#discovery/discovery.ts");
      await runDiscovery(optionsOf(flags), { clock: systemClock, logger: stderrLogger(flags) }, terminated());
    });
}
