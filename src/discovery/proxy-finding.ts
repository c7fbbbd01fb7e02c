import { readable } from "#base/readable.ts";
import type { ProxyEvent } from "#status/proxy-events.ts";
import { nodeParts, proxyGroup, proxyVersion, timestamp } from "./proxy-object.ts";
import type { ShownFinding } from "./shown-finding.ts";
import { tableOf, type TableColumn } from "./table.ts";

/** What a proxy did that it should not, as an API object. It is there until the proxy has behaved for some minutes. */
export interface ProxyFindingObject {
  readonly apiVersion: string;
  readonly kind: "ProxyFinding";
  readonly metadata: { readonly name: string; readonly namespace: string; readonly creationTimestamp: string };
  readonly spec: {
    /** Empty, as are the next two, for a peer that has not said who it is. */
    readonly pod: string;
    readonly cluster: string;
    /** The node id. */
    readonly node: string;
    /** A message of `weft analyze`. */
    readonly code: string;
    /** What it did, which limit it met, and what to do. */
    readonly message: string;
  };
  readonly status: {
    /** RFC 3339. */
    readonly since: string;
    readonly last: string;
    readonly count: number;
  };
}

/** Where findings stand about peers that have not said who they are, or in which namespace. */
const rootNamespace = "istio-system";

/** Text as a part of an object's name (RFC 1123), whatever a proxy calls itself. */
function nameOf(text: string, most = 100): string {
  const plain = text.toLowerCase().replaceAll(/[^a-z0-9.-]+/g, "-");
  return plain.slice(0, most).replaceAll(/^[.-]+|[.-]+$/g, "");
}

/** `proxy-never-reads` of `ProxyNeverReads`. */
function kebab(code: string): string {
  return code.replaceAll(/(?!^)[A-Z]/g, "-$&").toLowerCase();
}

function subjectOf(pod: string, namespace: string, { node, cluster }: ShownFinding): string {
  if (node === "") return "A peer that has not said who it is";
  if (pod === "") return `Proxy ${node}`;
  return `Proxy ${pod}.${namespace}${cluster === "" ? "" : ` (${cluster})`}`;
}

/** A finding as an object. One that a proxy has of each kind keeps its name. */
export function proxyFindingObject(finding: ShownFinding): ProxyFindingObject {
  const { code, since, last, count, what } = finding;
  const { pod, namespace } = nodeParts(finding.node);
  const parts = [pod === "" ? finding.node || "unnamed" : pod, finding.cluster, kebab(code)].map((part) =>
    nameOf(part),
  );
  return {
    apiVersion: `${proxyGroup}/${proxyVersion}`,
    kind: "ProxyFinding",
    metadata: {
      name: parts.filter((part) => part !== "").join("."),
      namespace: nameOf(namespace, 63) || rootNamespace,
      creationTimestamp: timestamp(since),
    },
    spec: {
      pod: readable(pod),
      cluster: readable(finding.cluster),
      node: readable(finding.node),
      code,
      message: readable(`${subjectOf(pod, namespace, finding)} ${what}.`),
    },
    status: { since: timestamp(since), last: timestamp(last), count },
  };
}

/** A finding as an event of its Pod; undefined for a proxy that is none's. */
export function proxyEvent(finding: ShownFinding): ProxyEvent | undefined {
  const { pod, namespace } = nodeParts(finding.node);
  if (pod === "" || finding.cluster === "") return undefined;
  const { message } = proxyFindingObject(finding).spec;
  return { cluster: finding.cluster, namespace, pod, reason: finding.code, message };
}

const columns: readonly TableColumn<ProxyFindingObject>[] = [
  { name: "Name", format: "name", description: "Pod, cluster and code.", cell: ({ metadata }) => metadata.name },
  { name: "Code", description: "What it did, in one word.", cell: ({ spec }) => spec.code },
  { name: "Count", description: "How often.", cell: ({ status }) => String(status.count) },
  { name: "Last", type: "date", description: "How long ago last.", cell: ({ status }, age) => age(status.last) },
  { name: "Message", description: "What it did, and what to do.", cell: ({ spec }) => spec.message },
  { name: "Node", description: "The node id.", cell: ({ spec }) => spec.node, wide: true },
];

/** Findings as a `meta.k8s.io/v1.Table`. */
export function proxyFindingTable(
  findings: readonly ProxyFindingObject[],
  age: (since: string) => string,
  whole = false,
): object {
  return tableOf(findings, columns, age, whole);
}
