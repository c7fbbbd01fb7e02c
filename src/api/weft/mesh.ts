import type { FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn, fieldColumn } from "../columns.ts";
import { TcpKeepalive } from "../istio/common.ts";
import { validateRetries } from "../istio/http-action-validation.ts";
import { HTTPRetry } from "../istio/http-route.ts";
import { LocalityLoadBalancerSetting } from "../istio/traffic-policy.ts";
import { duplicate, FieldPath } from "../field.ts";
import { validateLocality } from "../istio/load-balancer-validation.ts";
import { validateExportTo } from "../istio/names.ts";
import { validateNamed } from "../metadata.ts";
import { Condition } from "../kubernetes/meta.ts";
import {
  boolean,
  choice,
  definition,
  described,
  duration,
  int64,
  list,
  mergeList,
  object,
  positiveDuration,
  string,
  type Value,
} from "../schema.ts";
import { readyColumn, weftKind, weftName } from "./kind.ts";

const exportTo = (what: string) =>
  list(
    `Namespaces that see ${what} whose exportTo is not set. All unless set.`,
    string("A namespace, . for the object's own, or * for all."),
  );

/** What Istio keeps in its MeshConfig has the same name and meaning here. */
const MeshSpec = definition(
  weftName("MeshSpec"),
  object(
    "Settings of the whole mesh. Those that Istio's MeshConfig has are called and work as there.",
    { trustDomain: string("The trust domain of the mesh's identities.", { default: "cluster.local" }) },
    {
      clusters: list("Names of the member clusters. All Cluster objects unless set.", string("A Cluster's name.")),
      rootNamespace: string("The namespace whose objects hold for the whole mesh. istio-system unless set."),
      outboundTrafficPolicy: object(
        "What becomes of traffic to hosts that the registry does not know.",
        {},
        {
          mode: choice("ALLOW_ANY, the default, passes it on; REGISTRY_ONLY drops it.", ["ALLOW_ANY", "REGISTRY_ONLY"]),
        },
      ),
      inboundTrafficPolicy: object(
        "Where calls of a workload's ports go to.",
        {},
        {
          mode: choice(
            "PASSTHROUGH, the default, to the address that was called; LOCALHOST to the workload's loopback.",
            ["PASSTHROUGH", "LOCALHOST"],
          ),
        },
      ),
      pathNormalization: object(
        "How proxies rewrite paths of requests before anything looks at them.",
        {},
        {
          normalization: choice(
            "BASE, the default, as RFC 3986 says; MERGE_SLASHES makes several slashes one as well; DECODE_AND_MERGE_SLASHES decodes %2F and %5C first; NONE leaves paths as they are.",
            ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"],
          ),
        },
      ),
      inboundClusterStatName: string(
        "How statistics of a workload's ports are called: a text with %SERVICE%, %SERVICE_NAME%, %SERVICE_FQDN%, %SERVICE_PORT%, %SERVICE_PORT_NAME% and %TARGET_PORT%. The cluster's name unless set.",
      ),
      outboundClusterStatName: string(
        "How statistics of services are called, as inboundClusterStatName, with %SUBSET_NAME% in place of %TARGET_PORT%. The cluster's name unless set.",
      ),
      disableEnvoyListenerLog: boolean("Whether connections that no listener takes are left out of the log."),
      accessLogFile: string("The file that proxies log requests to, such as /dev/stdout. No log unless set."),
      accessLogFormat: string("What a line of the log tells, in Envoy's format. Istio's format unless set."),
      accessLogEncoding: choice("How a line of the log is written. TEXT unless set.", ["TEXT", "JSON"]),
      connectTimeout: positiveDuration("How long connecting to a service may take. 10s unless set."),
      protocolDetectionTimeout: duration("How long a proxy waits to see the protocol. 0s, for ever, unless set."),
      dnsRefreshRate: positiveDuration("How often proxies look up names of services again. 60s unless set."),
      h2UpgradePolicy: choice("Whether HTTP/1.1 requests are sent as HTTP/2. DO_NOT_UPGRADE unless set.", [
        "DO_NOT_UPGRADE",
        "UPGRADE",
      ]),
      tcpKeepalive: described("TCP keep-alive of connections to services.", TcpKeepalive),
      localityLbSetting: described("How localities share requests.", LocalityLoadBalancerSetting),
      defaultHttpRetryPolicy: described("How routes that say nothing of retries retry.", HTTPRetry),
      defaultServiceExportTo: exportTo("services"),
      defaultVirtualServiceExportTo: exportTo("VirtualServices"),
      defaultDestinationRuleExportTo: exportTo("DestinationRules"),
    },
    { default: {} },
  ),
);
type MeshSpec = Value<typeof MeshSpec>;

const MeshStatus = definition(
  weftName("MeshStatus"),
  object(
    "How the mesh is.",
    {},
    {
      conditions: mergeList("The mesh's state, by aspect.", Condition, "type"),
      observedGeneration: int64("The newest generation of the mesh that the status speaks of."),
    },
  ),
);
type MeshStatus = Value<typeof MeshStatus>;

/** Weft's `mesh.weft.dev/v1alpha1.Mesh`. */
export type Mesh = Resource<{ readonly spec: MeshSpec; readonly status?: MeshStatus }>;

const exportLists = [
  "defaultServiceExportTo",
  "defaultVirtualServiceExportTo",
  "defaultDestinationRuleExportTo",
] as const;

function* validateMesh({ spec }: Mesh): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  yield* validateNamed("subdomain", spec.trustDomain, path.field("trustDomain"));
  if (spec.rootNamespace) yield* validateNamed("label", spec.rootNamespace, path.field("rootNamespace"));
  for (const [index, name] of (spec.clusters ?? []).entries()) {
    const at = path.field("clusters").item(index);
    yield* validateNamed("label", name, at);
    if (spec.clusters?.indexOf(name) !== index) yield duplicate(at, name);
  }
  for (const name of exportLists) yield* validateExportTo(spec[name], undefined, path.field(name), { nobody: true });
  const { defaultHttpRetryPolicy: retries } = spec;
  if (retries) yield* validateRetries(retries, path.field("defaultHttpRetryPolicy"));
  if (spec.localityLbSetting) yield* validateLocality(spec.localityLbSetting, path.field("localityLbSetting"));
}

const description = "A mesh: its settings, and the clusters that belong to it.";

export const mesh: Kind = weftKind({
  kind: "Mesh",
  plural: "meshes",
  shortNames: [],
  description,
  schema: object(description, { spec: MeshSpec }, { status: MeshStatus }),
  columns: [
    fieldColumn("Trust Domain", ["spec", "trustDomain"], "The trust domain of the mesh's identities."),
    fieldColumn("Outbound", ["spec", "outboundTrafficPolicy", "mode"], "What becomes of traffic to unknown hosts."),
    readyColumn,
    ageColumn,
  ],
  validate: (object) => [...validateMesh(object as Mesh)],
});
