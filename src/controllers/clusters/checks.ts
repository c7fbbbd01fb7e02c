import type { Kind } from "#api/kind.ts";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { node as nodeKind } from "#api/kubernetes/node.ts";
import { authorityVersion } from "#api/kubernetes/proxy-trust.ts";
import { clusterRole } from "#api/kubernetes/rbac.ts";
import type { Cluster } from "#api/weft/cluster.ts";
import { cidrsOverlap, mergedCidrs } from "#base/cidr.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { ServerAddress } from "#kube/connection.ts";
import { apiServiceKind, definitionKind } from "../aggregation/installation.ts";
import { obstacles } from "../aggregation/obstacles.ts";
import type { MemberObject } from "../aggregation/objects.ts";
import { Reach } from "../reach/reach.ts";
import { memberNamespace, memberObjects } from "./member-objects.ts";

/** What a check found. Only `failed` keeps a cluster from joining. */
export interface CheckResult {
  readonly check:
    | "reachable"
    | "identity"
    | "version"
    | "permissions"
    | "addresses"
    | "clock"
    | "trust"
    | "objects"
    | "injection";
  readonly outcome: "passed" | "warned" | "failed";
  /** What was found, and what to do about it. */
  readonly message: string;
}

/** Why a cluster does without something that it would have otherwise. */
export interface Lack {
  /** What is missing, and what mends it. */
  readonly lack: string;
}

/** What is checked. */
export interface Candidate {
  readonly name: string;
  /** Its API, as who joins it. */
  readonly client: Client;
  /** How the control plane is to reach it. */
  readonly address: ServerAddress;
  readonly network: string;
  /** Kinds of Istio's objects that it is to serve as the mesh has them; or why it cannot; absent where it is not to. */
  readonly istioKinds?: readonly Kind[] | Lack;
  /** What is to have its Pods injected, and by whom; or why nothing can; absent where they are not to be. */
  readonly injection?: { readonly objects: readonly MemberObject[]; readonly to: string } | Lack;
  /** The mesh's clusters. */
  readonly clusters: readonly Cluster[];
  readonly clock: Clock;
}

type Found = Omit<CheckResult, "check">;

const passed = (message: string): Found => ({ outcome: "passed", message });
const warned = (message: string): Found => ({ outcome: "warned", message });
const failed = (message: string): Found => ({ outcome: "failed", message });

/** Minor versions of Kubernetes 1: since the first, native sidecars are on; the mesh is tested up to the last. */
const oldestMinor = 29;
const newestMinor = 36;

/** Seconds between clocks that are told, and that certificates and tokens do not stand. */
const skewTold = 5;
const skewMost = 60;

async function reachable({ client, address }: Candidate): Promise<Found> {
  if (!address.url.startsWith("https://")) {
    return failed(`its server ${address.url} is not https://: name one by --server that the control plane reaches`);
  }
  if (address.insecure === true) {
    return failed(
      "its kubeconfig has insecure-skip-tls-verify: put the server's authority into certificate-authority-data",
    );
  }
  try {
    await client.bytes({ method: "GET", path: "/version", timeoutMs: 10_000 });
    return passed(address.url);
  } catch (error) {
    return failed(`${messageOf(error)}: check the server and the credentials of the kubeconfig`);
  }
}

async function identity({ name, client, clusters }: Candidate): Promise<Found> {
  const path = "/api/v1/namespaces/kube-system";
  const { metadata } = await client.json<{ readonly metadata: { readonly uid: string } }>({ method: "GET", path });
  const twin = clusters.find((each) => each.metadata.name !== name && each.status?.uid === metadata.uid);
  if (!twin) return passed(`no member is this cluster (${metadata.uid})`);
  const other = twin.metadata.name;
  return failed(`this cluster is the member ${other} already: remove that one first (weft cluster remove ${other})`);
}

async function version({ client }: Candidate): Promise<Found> {
  const { gitVersion } = await client.json<{ readonly gitVersion: string }>({ method: "GET", path: "/version" });
  const minor = Number(/^v1\.(\d+)\./.exec(gitVersion)?.[1]);
  if (Number.isNaN(minor)) return warned(`${gitVersion} is no version that is known`);
  if (minor < oldestMinor)
    return failed(`Kubernetes ${gitVersion} is too old: upgrade it to v1.${oldestMinor} or later`);
  if (minor > newestMinor)
    return warned(`Kubernetes ${gitVersion} is newer than v1.${newestMinor}, the last one that was tested`);
  return passed(`Kubernetes ${gitVersion}`);
}

/** What who joins a cluster must be allowed to do there. */
const needed = [
  { verb: "create", group: "", resource: "namespaces" },
  { verb: "create", group: "", resource: "serviceaccounts", namespace: memberNamespace },
  { verb: "create", group: "", resource: "secrets", namespace: memberNamespace },
  { verb: "get", group: "", resource: "secrets", namespace: memberNamespace },
  { verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterroles" },
  { verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings" },
  { verb: "create", group: "rbac.authorization.k8s.io", resource: "roles", namespace: memberNamespace },
  { verb: "create", group: "rbac.authorization.k8s.io", resource: "rolebindings", namespace: memberNamespace },
  { verb: "list", group: "", resource: "configmaps" },
  { verb: "delete", group: "", resource: "configmaps" },
];

async function permissions({ name, client }: Candidate): Promise<Found> {
  const missing: string[] = [];
  for (const resourceAttributes of needed) {
    const review = await client.json<{ readonly status?: { readonly allowed?: boolean } }>({
      method: "POST",
      path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      body: { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: { resourceAttributes } },
    });
    if (review.status?.allowed !== true) missing.push(`${resourceAttributes.verb} ${resourceAttributes.resource}`);
  }
  if (missing.length > 0) {
    return failed(`the credentials may not ${missing.join(", ")}: use those of a cluster administrator`);
  }
  // Who grants rights must have them: the API server says so better than a review could.
  const role = memberObjects({ cluster: name, mesh: "trial" }).find(({ kind }) => kind === clusterRole);
  try {
    const { metadata, content = {} } = role ?? { metadata: { name } };
    const trial = { metadata: { ...metadata, name: `${metadata.name}-trial` }, ...content };
    await client.of(clusterRole).create(trial, { dryRun: true });
  } catch (error) {
    if (codeOf(error) !== "AlreadyExists") {
      return failed(
        `the control plane's role cannot be granted: ${messageOf(error)}: use the credentials of a cluster administrator`,
      );
    }
  }
  return passed("the control plane's account can be made");
}

async function addresses({ name, client, network, clusters }: Candidate): Promise<Found> {
  const { items } = await client.of(nodeKind).list();
  const ranges = mergedCidrs(
    items.flatMap((each) => {
      const { podCIDRs, podCIDR } =
        (each as { readonly spec?: { podCIDRs?: readonly string[]; podCIDR?: string } }).spec ?? {};
      return podCIDRs ?? (podCIDR === undefined ? [] : [podCIDR]);
    }),
  );
  if (ranges.length === 0)
    return warned(
      "its nodes do not tell their ranges of Pod addresses: see to it that no other cluster of its network has them",
    );
  const neighbours = clusters.filter((each) => each.metadata.name !== name && (each.spec.network ?? "") === network);
  const common = neighbours.flatMap(({ metadata, status }) => {
    const shared = (status?.podRanges ?? []).filter((range) => ranges.some((own) => cidrsOverlap(own, range)));
    return shared.length === 0 ? [] : [`${metadata.name} has ${shared.slice(0, 3).join(", ")}`];
  });
  const silent = neighbours.filter(({ status }) => (status?.podRanges ?? []).length === 0);
  if (common.length === 0 && silent.length > 0) {
    const names = silent.map(({ metadata }) => metadata.name).join(", ");
    return warned(
      `${names} of the network "${network}" ${silent.length === 1 ? "does not tell its" : "do not tell their"} ranges of Pod addresses: see to it that ${ranges.slice(0, 3).join(", ")} are not among them`,
    );
  }
  if (common.length === 0)
    return passed(`Pods have ${ranges.slice(0, 3).join(", ")}, as no other cluster of the network "${network}"`);
  const fix =
    "a network is one in which each Pod address is one Pod: say another by --network, and join the networks by gateways";
  return failed(
    `its Pods have ${ranges.slice(0, 3).join(", ")}, and in the network "${network}" ${common.join("; ")}: ${fix}`,
  );
}

async function clockSkew({ client, clock }: Candidate): Promise<Found> {
  const before = clock.now();
  const { headers } = await client.connection.send({ method: "GET", path: "/version" });
  const there = Date.parse(headers.date ?? "");
  if (Number.isNaN(there)) return warned("its API does not tell the time");
  const middle = (before + clock.now()) / 2;
  // It tells whole seconds.
  const seconds = Math.max(0, Math.round(Math.abs(there + 500 - middle) / 1000));
  const text = `its clock differs by ${seconds} s from this machine's`;
  if (seconds > skewMost) return failed(`${text}: certificates and tokens would not be taken; set the clocks (NTP)`);
  return seconds > skewTold ? warned(`${text}: set the clocks (NTP)`) : passed(text);
}

async function trust({ client }: Candidate): Promise<Found> {
  const { items } = await client.of<ConfigMap>(configMap).list({ fieldSelector: "metadata.name=istio-ca-root-cert" });
  const foreign = items.find(({ metadata }) => metadata.annotations?.[authorityVersion] === undefined);
  if (foreign) {
    const place = `ConfigMap ${foreign.metadata.namespace}/istio-ca-root-cert`;
    return failed(
      `another mesh has published its roots here (${place}), and this one would replace them: take that mesh out first, and then the ConfigMaps`,
    );
  }
  const keys = await client.json<{ readonly keys?: readonly unknown[] }>({
    method: "GET",
    path: "/openid/v1/jwks",
    accept: "application/jwk-set+json",
  });
  if ((keys.keys ?? []).length === 0) {
    return warned(
      "it publishes no keys of its service accounts' tokens: run the control plane with --token-check review",
    );
  }
  return passed("no other mesh is here; its service accounts' tokens can be checked");
}

async function objects({ name, client, istioKinds }: Candidate): Promise<Found> {
  if (istioKinds === undefined) return passed("it is not to serve the mesh's Istio objects");
  if ("lack" in istioKinds) return warned(`it will not serve the mesh's Istio objects: ${istioKinds.lack}`);
  const definitions = (await client.of(definitionKind).list()).items;
  const apiServices = (await client.of(apiServiceKind).list()).items;
  const found = obstacles(name, istioKinds, { definitions, apiServices });
  const [first] = found;
  if (first === undefined) return passed("nothing stands in the place of the mesh's Istio objects");
  const names = found.map(({ resource }) => resource.name);
  const which = `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
  return failed(
    `the cluster has objects of its own in the place of the mesh's (${which}): let it join with --istio-objects None, and take them over with weft cluster adopt`,
  );
}

async function injection({ client, clock, injection: wanted }: Candidate): Promise<Found> {
  if (wanted === undefined) return passed("its Pods are not to be injected");
  if ("lack" in wanted) return warned(`its Pods will not be injected: ${wanted.lack}`);
  const other = await new Reach(client, clock).foreign(wanted.objects);
  if (other === undefined) return passed(`its Pods will reach the control plane at ${wanted.to}`);
  return failed(
    `there is a ${other.kind} ${other.metadata.name} that is not of the mesh, such as Istio's own: remove it, or let the cluster join with --no-control-plane`,
  );
}

const checks = { reachable, identity, version, permissions, addresses, clock: clockSkew, trust, objects, injection };

/**
 * Checks a cluster before it joins. The first is whether it can be reached at all; without that there are no others.
 * @param told called with each result as it comes.
 */
export async function checkCandidate(
  candidate: Candidate,
  told: (result: CheckResult) => void,
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const [check, run] of Object.entries(checks) as [
    CheckResult["check"],
    (candidate: Candidate) => Promise<Found>,
  ][]) {
    const result = { check, ...(await outcomeOf(run, candidate)) };
    results.push(result);
    told(result);
    if (check === "reachable" && result.outcome === "failed") break;
  }
  return results;
}

async function outcomeOf(run: (candidate: Candidate) => Promise<Found>, candidate: Candidate): Promise<Found> {
  try {
    return await run(candidate);
  } catch (error) {
    return failed(`it cannot be checked: ${messageOf(error)}`);
  }
}
