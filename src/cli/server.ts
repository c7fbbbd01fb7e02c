import { readFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";
import type { AccessOptions } from "#apiserver/access.ts";
import type { OidcOptions } from "#apiserver/authentication/oidc.ts";
import type { ListenAddress } from "#apiserver/listener.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { EmbeddedCluster, ServerOptions } from "#server/server.ts";
import type { EtcdFiles } from "#store/etcd/credentials.ts";
import { type MeshesFlags, meshesOf, withMeshesFlags } from "./mesh/server-flags.ts";
import { collected, wholeNumber } from "./output.ts";
import { stderrLogger, terminated, withLogFlag, type LogFlags } from "./processes.ts";
import { weftVersion } from "./version.ts";

interface ServerFlags extends LogFlags, MeshesFlags {
  readonly store: string;
  readonly storeCa?: string;
  readonly storeCertificate?: string;
  readonly storeKey?: string;
  readonly storeUser?: string;
  readonly stateDir?: string;
  readonly runDir: string;
  readonly meshPort: number;
  readonly embedded: readonly EmbeddedCluster[];
  readonly encryptionKeys?: string;
  readonly historyDays: number;
  readonly maxObjects?: number;
  readonly address?: string;
  readonly secure?: boolean;
  readonly anonymous?: boolean;
  readonly serverName?: readonly string[];
  readonly oidcIssuer?: string;
  readonly oidcClientId?: string;
  readonly oidcUsernameClaim?: string;
  readonly oidcUsernamePrefix?: string;
  readonly oidcGroupsClaim?: string;
  readonly oidcGroupsPrefix?: string;
  readonly oidcCa?: string;
  readonly membersAddress?: ListenAddress;
  readonly membersHost?: readonly string[];
  readonly membersPort?: number;
  readonly member: readonly MemberFlag[];
}

/** A member cluster, and the file of the kubeconfig by which it is asked. */
interface MemberFlag {
  readonly name: string;
  readonly kubeconfig: string;
}

/** The OpenID provider that flags name; its certificate's authorities are read from their file. */
function oidcOf(flags: ServerFlags): readonly OidcOptions[] {
  const { oidcIssuer: issuer, oidcClientId: clientId } = flags;
  if (issuer === undefined && clientId === undefined) return [];
  if (issuer === undefined || clientId === undefined) {
    throw new WeftError("InvalidArgument", "give --oidc-issuer and --oidc-client-id together");
  }
  const optional = {
    usernameClaim: flags.oidcUsernameClaim,
    usernamePrefix: flags.oidcUsernamePrefix,
    groupsClaim: flags.oidcGroupsClaim,
    groupsPrefix: flags.oidcGroupsPrefix,
    ca: flags.oidcCa === undefined ? undefined : readFileSync(flags.oidcCa, "utf8"),
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return [{ issuer, clientId, ...Object.fromEntries(given) }];
}

/** Files by which the store and etcd know each other. */
async function storeFilesOf(flags: ServerFlags): Promise<EtcdFiles> {
  const { isEtcdAddress } = await import("#base/etcd-address.ts");
  const { storeCa: ca, storeCertificate: certificate, storeKey: key, storeUser: user } = flags;
  const given = Object.entries({ ca, certificate, key, user }).filter(([, file]) => file !== undefined);
  if (given.length > 0 && !isEtcdAddress(flags.store)) {
    throw new WeftError(
      "InvalidArgument",
      "--store-ca, --store-certificate, --store-key and --store-user are for an etcd",
    );
  }
  if ((certificate === undefined) !== (key === undefined)) {
    throw new WeftError("InvalidArgument", "give --store-certificate and --store-key together");
  }
  return Object.fromEntries(given);
}

function withStoreFlags(command: Command): Command {
  return command
    .requiredOption(
      "--store <where>",
      "file of the store's database, made if it is not there; or an etcd, etcds://HOST:2379,HOST:2379/PREFIX",
    )
    .option("--store-ca <file>", "authorities of etcd's certificate, PEM; the machine's unless given")
    .option("--store-certificate <file>", "certificate by which etcd knows this server, PEM")
    .option("--store-key <file>", "its key, PEM")
    .option("--store-user <file>", "user of etcd, NAME:PASSWORD");
}

/** How requests are authenticated; undefined where whoever reaches the server may do everything. */
function accessOf(flags: ServerFlags): AccessOptions | undefined {
  const oidc = oidcOf(flags);
  const { secure = false, anonymous = false, serverName: serverNames = [] } = flags;
  if (secure) return { oidc, anonymous, serverNames };
  if (oidc.length > 0 || anonymous || serverNames.length > 0 || flags.address !== undefined) {
    const which = "--address, --anonymous, --server-name and --oidc-* need --secure";
    throw new WeftError("InvalidArgument", which);
  }
  return undefined;
}

function withAccessFlags(command: Command): Command {
  return command
    .option("--secure", "speak TLS, and ask every client who it is and what it may do")
    .option("--address <address>", "address that the APIs listen on; loopback unless given")
    .option("--server-name <name>", "another name or address in the server's certificate; may be repeated", collected)
    .option("--anonymous", "take in clients that show no credential, as system:anonymous")
    .option("--oidc-issuer <url>", "OpenID provider whose ID tokens are taken, https://")
    .option("--oidc-client-id <id>", "the audience that its tokens must have")
    .option("--oidc-username-claim <claim>", "the claim that names the user; sub unless given")
    .option(
      "--oidc-username-prefix <text>",
      "stands before its users' names; the issuer and # unless given, - for none",
    )
    .option("--oidc-groups-claim <claim>", "the claim that lists the user's groups")
    .option("--oidc-groups-prefix <text>", "stands before its groups' names")
    .option("--oidc-ca <file>", "authorities of the provider's certificate, PEM");
}

const embeddedForm = /^([a-z0-9-]+),pods=([0-9./]+),services=([0-9./]+),port=([0-9]+)$/;

/** Reads `--embedded`, which may be given several times. */
function embeddedCluster(text: string, before: readonly EmbeddedCluster[]): readonly EmbeddedCluster[] {
  const [, name, podRange, serviceRange, port] = embeddedForm.exec(text) ?? [];
  if (name === undefined || podRange === undefined || serviceRange === undefined) {
    throw new InvalidArgumentError("write it as east,pods=10.10.0.0/16,services=10.110.0.0/16,port=16441.");
  }
  return [...before, { name, podRange, serviceRange, port: Number(port) }];
}

/** Reads `--members-address`. */
function listenAddress(text: string): ListenAddress {
  const [, host, port] = /^\[?([^\]]+)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) throw new InvalidArgumentError("write it as 0.0.0.0:15443.");
  return { host, port: Number(port) };
}

/** Reads `--member`, which may be given several times. */
function memberFlag(text: string, before: readonly MemberFlag[]): readonly MemberFlag[] {
  const [, name, kubeconfig] = /^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)=(.+)$/.exec(text) ?? [];
  if (name === undefined || kubeconfig === undefined) throw new InvalidArgumentError("write it as east=FILE.");
  return [...before, { name, kubeconfig }];
}

/** The members that flags name, with what their kubeconfigs say. */
async function membersOf({
  membersAddress,
  membersHost,
  membersPort,
  member,
}: ServerFlags): Promise<ServerOptions["members"]> {
  if (membersAddress === undefined) {
    if (member.length === 0 && (membersHost ?? membersPort) === undefined) return undefined;
    throw new WeftError("InvalidArgument", "--member, --members-host and --members-port need --members-address");
  }
  const { readKubeconfig } = await import("#kube/kubeconfig.ts");
  const clusters = member.map(async ({ name, kubeconfig }) => ({
    name,
    server: (await readKubeconfig(kubeconfig)).server,
  }));
  const reached = { hosts: membersHost ?? [], ...(membersPort !== undefined && { port: membersPort }) };
  return { listen: membersAddress, ...reached, clusters: await Promise.all(clusters) };
}

/** `weft server`. */
export function serverCommand(program: Command): void {
  const port = wholeNumber(0, 65_535);
  withMeshesFlags(withAccessFlags(withStoreFlags(withLogFlag(program.command("server")))))
    .summary("run the API servers and the embedded clusters' controllers")
    .description("Runs the store, the mesh's API, and the API and controllers of each embedded cluster.")
    .option(
      "--encryption-keys <file>",
      "keys that Secrets are encrypted with in the store, NAME SECRET a line; the first writes, all read",
    )
    .option(
      "--history-days <number>",
      "keep who wrote what for so many days, for weft history; 0 keeps nothing",
      wholeNumber(0, 3650),
      7,
    )
    .option("--max-objects <number>", "objects that there may be in all", wholeNumber(1, 10_000_000))
    .requiredOption("--run-dir <folder>", "folder of its Unix sockets, api-mesh.sock and api-CLUSTER.sock")
    .option(
      "--state-dir <folder>",
      "folder of its keys; made if it is not there, api beside the store's file unless given",
    )
    .requiredOption("--mesh-port <port>", "loopback port of the mesh's API", port)
    .option(
      "--embedded <cluster>",
      "an embedded cluster: NAME,pods=CIDR,services=CIDR,port=PORT; may be repeated",
      embeddedCluster,
      [],
    )
    .option(
      "--members-address <host:port>",
      "where API servers of member clusters reach the mesh's API, over TLS",
      listenAddress,
    )
    .option(
      "--members-host <host>",
      "name or address by which they reach it, told to weft cluster add; may be repeated for addresses; that of --members-address unless given",
      collected,
    )
    .option("--members-port <port>", "the port at which they do, where it is another", wholeNumber(1, 65_535))
    .option(
      "--member <cluster>",
      "a member cluster that serves the mesh's objects as its own and has no Cluster that says so: NAME=KUBECONFIG; may be repeated",
      memberFlag,
      [],
    )
    .addHelpText(
      "after",
      "\nExample:\n  weft server --store store.db --run-dir /run/weft/own --mesh-port 16440 --embedded east,pods=10.10.0.0/16,services=10.110.0.0/16,port=16441\n  weft server --store /var/lib/weft/host/store.db --run-dir /run/weft/host --mesh-port 16400 --meshes-dir /var/lib/weft/meshes --meshes-port 20000",
    )
    .action(async (flags: ServerFlags) => {
      const { runServer } = await import("#server/server.ts");
      const { store, runDir, meshPort, embedded, stateDir, encryptionKeys, historyDays, maxObjects, address } = flags;
      const access = accessOf(flags);
      const meshes = meshesOf(flags);
      const members = await membersOf(flags);
      const options = {
        store,
        storeFiles: await storeFilesOf(flags),
        runDir,
        meshPort,
        embedded,
        ...(stateDir === undefined ? {} : { stateDir }),
        ...(historyDays === 0 ? {} : { historyDays }),
        ...(maxObjects === undefined ? {} : { maxObjects }),
        ...(encryptionKeys === undefined ? {} : { encryptionKeys }),
        ...(address === undefined ? {} : { address }),
        ...(access === undefined ? {} : { access }),
        ...(meshes === undefined ? {} : { meshes }),
        ...(flags.meshImage === undefined ? {} : { meshImages: flags.meshImage }),
        ...(members === undefined ? {} : { members }),
        version: weftVersion(),
      };
      await runServer(options, { clock: systemClock, logger: stderrLogger(flags) }, terminated());
    });
}
