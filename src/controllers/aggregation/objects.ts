import type { Kind } from "#api/kind.ts";
import { frontProxyConfigMap } from "#api/front-proxy.ts";
import { isMemberKind, memberNamespace, memberServiceName } from "#api/member-api.ts";
import { rbacGroup } from "#api/kubernetes/rbac.ts";
import { departedConfigMap } from "./departed.ts";

/** How a member's API server reaches the mesh's API. */
export type Reach =
  /** A name of DNS that the API server's own machine knows. API servers with `--enable-aggregator-routing` do not take it. */
  | { readonly kind: "name"; readonly host: string; readonly port: number }
  /** Addresses of IP, not of loopback. */
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly port: number }
  /** Pods of the member itself, where the control plane runs in it. */
  | { readonly kind: "pods"; readonly labels: Readonly<Record<string, string>>; readonly port: number };

/** Whom the control plane is in a member. */
export type Account =
  | { readonly kind: "User"; readonly name: string }
  | { readonly kind: "ServiceAccount"; readonly namespace: string; readonly name: string };

/** What a member's objects are made for. */
export interface MemberObjects {
  /** The member's id. */
  readonly member: string;
  /** What the mesh's API shows itself by, in PEM. */
  readonly authority: string;
  readonly reach: Reach;
  /** By whom the control plane calls the member. */
  readonly account: Account;
  /** The kinds that the mesh has; those that members do not serve are left out. */
  readonly kinds: readonly Kind[];
}

/** An object that a member has of the mesh. */
export interface MemberObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly [member: string]: unknown;
}

/** Port of the Service. One that is only a name has no ports of its own: clients take that of what it names. */
function servicePort(reach: Reach): number {
  return reach.kind === "name" ? reach.port : 443;
}

const portName = "https";

/** What all APIService objects of one version order have: as objects that stand for CRDs do. */
const groupPriority = 1000;

/** Labels of everything that a member has of the mesh's API, by which all of it is found again. */
export const memberLabels = {
  "app.kubernetes.io/managed-by": "weft",
  "app.kubernetes.io/component": "mesh-api",
} as const;

function metadata(name: string, namespace?: string): MemberObject["metadata"] {
  return { name, ...(namespace === undefined ? {} : { namespace }), labels: memberLabels };
}

/** Groups that members serve, with their versions, the preferred one first. */
export function memberGroupVersions(kinds: readonly Kind[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, Set<string>>();
  for (const kind of kinds.filter(isMemberKind)) {
    const versions = groups.get(kind.group) ?? new Set();
    groups.set(kind.group, versions);
    for (const { name } of kind.versions) versions.add(name);
  }
  return new Map([...groups].map(([group, versions]) => [group, [...versions]]));
}

function apiServices({ member, authority, kinds, reach }: MemberObjects): readonly MemberObject[] {
  const caBundle = Buffer.from(authority).toString("base64");
  const service = { namespace: memberNamespace, name: memberServiceName(member), port: servicePort(reach) };
  return [...memberGroupVersions(kinds)].flatMap(([group, versions]) =>
    versions.map((version, index) => ({
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: metadata(`${version}.${group}`),
      spec: {
        group,
        version,
        groupPriorityMinimum: groupPriority,
        versionPriority: versions.length - index,
        service,
        caBundle,
      },
    })),
  );
}

function endpointSlice(name: string, addresses: readonly string[], port: number): MemberObject {
  const { labels, ...rest } = metadata(name, memberNamespace);
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { ...rest, labels: { ...labels, "kubernetes.io/service-name": name } },
    addressType: addresses.every((address) => address.includes(":")) ? "IPv6" : "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: portName, port, protocol: "TCP" }],
  };
}

function services({ member, reach }: MemberObjects): readonly MemberObject[] {
  const name = memberServiceName(member);
  const service = (spec: object, targetPort: number): MemberObject => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(name, memberNamespace),
    spec: { ...spec, ports: [{ name: portName, port: servicePort(reach), targetPort, protocol: "TCP" }] },
  });
  switch (reach.kind) {
    case "name":
      return [service({ type: "ExternalName", externalName: reach.host }, reach.port)];
    case "addresses":
      return [service({}, reach.port), endpointSlice(name, reach.addresses, reach.port)];
    case "pods":
      return [service({ selector: reach.labels }, reach.port)];
  }
}

/** Of the member's own: whom to believe, who may do what, and which namespaces there are. */
const rights = [
  { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list", "watch"] },
];

/** What it missed while it was away. */
const departedRights = [
  {
    apiGroups: [""],
    resources: ["configmaps"],
    resourceNames: [departedConfigMap.name],
    verbs: ["get", "list", "watch", "patch"],
  },
];

function roles({ account }: MemberObjects): readonly MemberObject[] {
  const name = "weft-mesh-api";
  const subject = account.kind === "User" ? { ...account, apiGroup: rbacGroup } : account;
  const apiVersion = `${rbacGroup}/v1`;
  const reader = "extension-apiserver-authentication-reader";
  return [
    { apiVersion, kind: "ClusterRole", metadata: metadata(name), rules: rights },
    {
      apiVersion,
      kind: "ClusterRoleBinding",
      metadata: metadata(name),
      roleRef: { apiGroup: rbacGroup, kind: "ClusterRole", name },
      subjects: [subject],
    },
    {
      apiVersion,
      kind: "RoleBinding",
      metadata: metadata(name, frontProxyConfigMap.namespace),
      roleRef: { apiGroup: rbacGroup, kind: "Role", name: reader },
      subjects: [subject],
    },
    { apiVersion, kind: "Role", metadata: metadata(name, memberNamespace), rules: departedRights },
    {
      apiVersion,
      kind: "RoleBinding",
      metadata: metadata(name, memberNamespace),
      roleRef: { apiGroup: rbacGroup, kind: "Role", name },
      subjects: [subject],
    },
  ];
}

/**
 * Everything that a member needs to serve the mesh's objects as its own, in the order in which it is to be made; taken away in the
 * reverse order. The namespace `istio-system` must be there.
 */
export function memberObjects(options: MemberObjects): readonly MemberObject[] {
  return [...roles(options), ...services(options), ...apiServices(options)];
}
