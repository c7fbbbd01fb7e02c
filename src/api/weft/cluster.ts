import type { FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn, fieldColumn, valueAt } from "../columns.ts";
import { FieldPath, invalid } from "../field.ts";
import { validateNamed } from "../metadata.ts";
import { Condition } from "../kubernetes/meta.ts";
import {
  boolean,
  choice,
  definition,
  int32,
  int64,
  mergeList,
  mergeSet,
  object,
  string,
  type Value,
} from "../schema.ts";
import { readyColumn, weftKind, weftName } from "./kind.ts";

const ClusterSpec = definition(
  weftName("ClusterSpec"),
  object(
    "Where the cluster stands, and how its API is reached.",
    {},
    {
      network: string("The network of its Pods. Pods of one network reach each other directly."),
      region: string("The region of nodes that do not tell theirs."),
      zone: string("The zone of nodes that do not tell theirs."),
      server: string("URL of the cluster's API, https:// or unix://, where it needs no credentials."),
      istioObjects: choice(
        "How the mesh's Istio objects are served in the cluster: Aggregated, its own API server passes requests for them on to the mesh's; Synced, it has CustomResourceDefinitions and objects of its own, which are kept the same as the mesh's both ways; None, not at all. None unless set.",
        ["Aggregated", "Synced", "None"],
      ),
      draining: boolean(
        "Whether the cluster is about to leave: callers in other clusters are not led to it any more. Its own go on as they are.",
      ),
      unreachableTolerationSeconds: int64(
        "For how long its last known endpoints serve callers in other clusters while its API cannot be followed. 900 unless set.",
        { minimum: 0 },
      ),
      kubeconfigSecret: object(
        "The Secret of a kubeconfig for the cluster's API, which must hold all of its credentials itself.",
        { namespace: string("The Secret's namespace."), name: string("The Secret's name.") },
        { key: string("The key that holds the kubeconfig. kubeconfig unless set.") },
        { atomic: true },
      ),
    },
    { default: {}, oneOf: [["server", "kubeconfigSecret"]] },
  ),
);
type ClusterSpec = Value<typeof ClusterSpec>;

const ClusterStatus = definition(
  weftName("ClusterStatus"),
  object(
    "How the cluster is.",
    {},
    {
      conditions: mergeList("The cluster's state, by aspect.", Condition, "type"),
      version: string("The version of Kubernetes that its API tells."),
      nodes: int32("How many nodes it has."),
      uid: string("What the cluster is, by whatever name: the UID of its Namespace kube-system."),
      podRanges: mergeSet("The ranges of Pod addresses that its nodes have.", string("A range in CIDR form.")),
      observedGeneration: int64("The newest generation of the cluster that the status speaks of."),
    },
  ),
);
type ClusterStatus = Value<typeof ClusterStatus>;

/** Weft's `mesh.weft.dev/v1alpha1.Cluster`. Its name is the cluster's id in Istio's sense. */
export type Cluster = Resource<{ readonly spec: ClusterSpec; readonly status?: ClusterStatus }>;

/** Seconds for which a cluster that cannot be followed is still led to, unless it says otherwise. */
export const defaultTolerationSeconds = 900;

/** How a member cluster stands, as who follows it knows. */
export interface ClusterStanding {
  /** Conditions but for the times of their changes. */
  readonly conditions: readonly StandingCondition[];
  readonly version?: string;
  readonly nodes?: number;
  readonly uid?: string;
  readonly podRanges?: readonly string[];
}

/** One aspect of it. */
export interface StandingCondition {
  /** `Ready` is the whole: reached, read, and led to. */
  readonly type: "Ready" | "Reachable" | "Synced" | "AddressesDistinct" | "Drained";
  readonly ok: boolean;
  /** One word in upper camel case. */
  readonly reason: string;
  /** For people; may be empty. */
  readonly message: string;
}

/** URLs of APIs: over TLS, or over a Unix socket. */
const serverUrl = /^(?:https:\/\/[^/\s]+(?:\/\S*)?|unix:\/\/\/\S*[^/\s])$/;

function* validateCluster({ spec }: Cluster): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  const { server, kubeconfigSecret } = spec;
  if (server !== undefined && !serverUrl.test(server)) {
    yield invalid(path.field("server"), server, "must be https:// and a host, or unix:// and an absolute path");
  }
  if (kubeconfigSecret === undefined) return;
  yield* validateNamed("label", kubeconfigSecret.namespace, path.field("kubeconfigSecret", "namespace"));
  yield* validateNamed("subdomain", kubeconfigSecret.name, path.field("kubeconfigSecret", "name"));
}

const description = "A Kubernetes cluster that belongs to the mesh.";

export const cluster: Kind = weftKind({
  kind: "Cluster",
  plural: "clusters",
  shortNames: [],
  description,
  schema: object(description, { spec: ClusterSpec }, { status: ClusterStatus }),
  columns: [
    fieldColumn("Network", ["spec", "network"], "The network of its Pods."),
    fieldColumn("Region", ["spec", "region"], "Where it stands."),
    fieldColumn("Version", ["status", "version"], "The version of Kubernetes."),
    {
      name: "Nodes",
      type: "integer",
      description: "How many nodes it has.",
      cell: (object) => valueAt(object, "status", "nodes") as number | undefined,
    },
    readyColumn,
    ageColumn,
  ],
  nameForm: "label",
  validate: (object) => [...validateCluster(object as Cluster)],
});
