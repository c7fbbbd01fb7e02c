import { type Command, InvalidArgumentError, Option } from "commander";
import { WeftError } from "#base/errors.ts";
import type { InstallMembers, InstallOptions, InstallStore } from "#controllers/install/options.ts";
import { isEtcdAddress } from "#base/etcd-address.ts";
import { collected, wholeNumber } from "../output.ts";

/** Flags of what is installed. */
export interface InstallFlags extends MembersFlags {
  readonly image: string;
  readonly proxyImage?: string;
  readonly imagePullPolicy: string;
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  readonly store: InstallStore;
  readonly storageClass?: string;
  readonly storeSecret?: string;
  readonly servers?: number;
  readonly replicas: number;
  readonly revision?: string;
}

/** Reads `--store`. */
function storeOf(text: string): InstallStore {
  if (text === "memory") return { kind: "memory" };
  if (text.startsWith("/")) return { kind: "folder", path: text };
  if (isEtcdAddress(text)) return { kind: "etcd", address: text };
  const [, size] = /^claim:([1-9]\d*(?:Mi|Gi|Ti))$/.exec(text) ?? [];
  if (size !== undefined) return { kind: "claim", size };
  throw new InvalidArgumentError("write it as claim:10Gi, /a/folder/of/the/node, memory or etcds://HOST:2379/PREFIX.");
}

/** Reads `--cluster`. */
export function clusterName(text: string): string {
  if (/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("write it in small letters, digits and -, such as primary.");
}

/** Reads `--revision`, which becomes part of names. */
export function revisionName(text: string): string {
  if (/^[a-z0-9](?:[-a-z0-9]{0,28}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError("write it in small letters, digits and -, at most 30, such as 1-1-0.");
}

/** `--store`. */
export const storeFlag: readonly [string, string, (text: string) => InstallStore, InstallStore] = [
  "--store <where>",
  "where the mesh's objects are kept: claim:SIZE (a volume), a folder of the node that belongs to user 1337, memory (lost with the Pod), or an etcd, etcds://HOST:2379/PREFIX",
  storeOf,
  { kind: "claim", size: "10Gi" },
];

/** Flags of how other clusters reach a control plane. */
export interface MembersFlags {
  readonly members?: "LoadBalancer" | "NodePort";
  readonly membersHost?: readonly string[];
}

/** Adds them to a command. */
export function withMembersFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--members <how>",
        "let other clusters join the mesh: by what they reach its control plane, a Service of type",
      ).choices(["LoadBalancer", "NodePort"]),
    )
    .option(
      "--members-host <host>",
      "address or name by which they do, where it is another than the Services' or nodes' own; may be repeated for addresses. Without --members it leads to ports 15443 of Service weft-members-api, 15012 and 15017 of weft-members-istiod",
      collected,
    );
}

/** Adds the flags to a command. */
export function withInstallFlags(command: Command): Command {
  command
    .requiredOption("--image <image>", "the image of Weft, with registry and tag")
    .option("--proxy-image <image>", "the image of injected proxies; that of --image unless given")
    .addOption(
      new Option("--image-pull-policy <policy>", "when nodes fetch images")
        .choices(["Always", "IfNotPresent", "Never"])
        .default("IfNotPresent"),
    )
    .option("--cluster <name>", "the cluster's name in the mesh: its id in Istio's sense", clusterName, "primary")
    .option("--network <name>", "the network of its Pods", "")
    .option("--trust-domain <name>", "the trust domain of the mesh's identities", "cluster.local")
    .option(...storeFlag)
    .option("--storage-class <name>", "the class of the volume; the cluster's default unless given")
    .option("--store-secret <name>", "Secret of istio-system with ca.crt, tls.crt and tls.key for the etcd")
    .option("--servers <number>", "servers of the mesh's API: 2 on an etcd, else 1", wholeNumber(1, 9))
    .option("--replicas <number>", "control planes of proxies", wholeNumber(1, 50), 2)
    .option(
      "--revision <name>",
      "install a revision of the control plane of proxies beside the installed one, and change nothing else",
      revisionName,
    );
  return withMembersFlags(command);
}

/** By what other clusters reach the control plane. @throws WeftError `InvalidArgument` for flags that do not go together. */
export function membersOf({ members: type, membersHost: hosts = [] }: MembersFlags): InstallMembers | undefined {
  if (type === "LoadBalancer" && hosts.length > 0)
    throw new WeftError("InvalidArgument", "--members LoadBalancer tells its hosts itself: leave out --members-host");
  if (type === undefined && hosts.length === 0) return undefined;
  return { type: type ?? "ClusterIP", hosts };
}

/** The store with what other flags say of it. @throws WeftError `InvalidArgument` for flags that do not fit it. */
export function completedStore({
  store,
  storageClass,
  storeSecret,
  servers,
}: Pick<InstallFlags, "store" | "storageClass" | "storeSecret" | "servers">): InstallStore {
  if (storageClass !== undefined && store.kind !== "claim")
    throw new WeftError("InvalidArgument", "--storage-class is for --store claim:SIZE");
  if (storeSecret !== undefined && store.kind !== "etcd")
    throw new WeftError("InvalidArgument", "--store-secret is for an etcd");
  if (servers !== undefined && servers > 1 && store.kind !== "etcd")
    throw new WeftError("InvalidArgument", "several --servers need an etcd: --store etcds://HOST:2379/PREFIX");
  if (store.kind === "claim" && storageClass !== undefined) return { ...store, className: storageClass };
  if (store.kind === "etcd" && storeSecret !== undefined) return { ...store, secret: storeSecret };
  return store;
}

/** What flags say is to be installed. @throws WeftError `InvalidArgument` for flags that do not go together. */
export function optionsOf(flags: InstallFlags): Omit<InstallOptions, "keys"> {
  const { image, proxyImage = image, imagePullPolicy, cluster, network, trustDomain, replicas } = flags;
  const store = completedStore(flags);
  const servers = flags.servers ?? (store.kind === "etcd" ? 2 : 1);
  const { revision = "default" } = flags;
  const members = membersOf(flags);
  const made = {
    image,
    proxyImage,
    imagePullPolicy,
    cluster,
    network,
    trustDomain,
    replicas,
    revision,
    store,
    servers,
  };
  return { ...made, ...(members && { members }) };
}
