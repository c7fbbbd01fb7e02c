import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { type Deployment, deployment as deploymentKind } from "#api/kubernetes/deployment.ts";
import { type Namespace, namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { readReport, reportLabel, type RevisionReport } from "#api/weft/revision-report.ts";
import { boundTo, defaultRevisionName, injectionLabel, revisionLabel } from "#api/weft/revisions.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { installSelector } from "../install/object.ts";
import { installNames } from "../install/options.ts";
import { type RevisionTag, tagsOf } from "./tags.ts";

/** A revision of the control plane that a cluster has, and whom it serves. */
export interface Revision {
  readonly name: string;
  /** Control planes that are ready, and how many there are to be. */
  readonly ready: number;
  readonly wanted: number;
  /** What its control planes tell of themselves. */
  readonly reports: readonly RevisionReport[];
  readonly tags: readonly RevisionTag[];
  /** Namespaces that follow it, by name. */
  readonly namespaces: readonly string[];
}

/** What is known of a cluster's revisions. */
export interface Revisions {
  readonly revisions: readonly Revision[];
  readonly tags: readonly RevisionTag[];
  readonly namespaces: readonly Namespace[];
  /** The revision that serves who asks for none by name. */
  readonly serving: string;
}

/** Milliseconds after which what a control plane told is not believed any more. */
const believedMs = 75_000;

/** The label by which the node's agents give a namespace's Pods their sidecars. */
const sidecarLabel = "mesh.weft.dev/sidecar";

/** Whether a namespace's Pods are of the mesh. */
function isOfMesh({ metadata: { labels = {} } }: Namespace): boolean {
  return labels[injectionLabel] === "enabled" || labels[sidecarLabel] === "node" || labels[revisionLabel] !== undefined;
}

/** The revision that a namespace follows. */
function revisionOfNamespace({ metadata: { labels = {} } }: Namespace, tags: readonly RevisionTag[]): string {
  const word = boundTo(labels) ?? defaultRevisionName;
  return tags.find(({ tag }) => tag === word)?.revision ?? word;
}

function reportsOf(maps: readonly ConfigMap[], revision: string, now: number): readonly RevisionReport[] {
  const own = maps.filter(({ metadata }) => metadata.labels?.[revisionLabel] === revision);
  const read = own.flatMap(({ data = {} }) => Object.values(data)).flatMap((text) => readReport(text) ?? []);
  return read.filter(({ at }) => Math.abs(now - Date.parse(at)) < believedMs);
}

/** The revisions that are installed in a cluster. @param now milliseconds since the epoch. */
export async function readRevisionsOf(client: Client, now: number): Promise<Revisions> {
  const { namespace } = installNames;
  const [deployments, reports, namespaces, tags] = await Promise.all([
    client.of<Deployment>(deploymentKind).list({ namespace, labelSelector: `${installSelector},${revisionLabel}` }),
    client.of<ConfigMap>(configMap).list({ namespace, labelSelector: `${reportLabel.name}=${reportLabel.value}` }),
    client.of<Namespace>(namespaceKind).list(),
    tagsOf(client),
  ]);
  const members = namespaces.items.filter(isOfMesh);
  const revisions = deployments.items.map(({ metadata, spec, status }): Revision => {
    const name = metadata.labels?.[revisionLabel] ?? "";
    const following = members.filter((each) => revisionOfNamespace(each, tags) === name);
    return {
      name,
      ready: status?.readyReplicas ?? 0,
      wanted: spec.replicas ?? 1,
      reports: reportsOf(reports.items, name, now),
      tags: tags.filter(({ revision }) => revision === name),
      namespaces: following.map((each) => each.metadata.name).toSorted(),
    };
  });
  const serving = tags.find(({ tag }) => tag === defaultRevisionName)?.revision ?? defaultRevisionName;
  const sorted = revisions.toSorted((one, other) => one.name.localeCompare(other.name));
  return { revisions: sorted, tags, namespaces: members, serving };
}

/** One of them. @throws WeftError `NotFound` where there is none of that name. */
export function revisionNamed({ revisions }: Revisions, name: string): Revision {
  const found = revisions.find((each) => each.name === name);
  if (found) return found;
  const known = revisions.map((each) => each.name).join(", ");
  throw new WeftError(
    "NotFound",
    `there is no revision ${name} in this cluster; there is ${known === "" ? "none" : known}`,
  );
}
