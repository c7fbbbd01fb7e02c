/** A request of a case, and what must come of it. */
export interface Step {
  /** `apply` is a PATCH with a configuration; `update` a PUT of the object as it is read, changed by a merge patch. */
  readonly do: "apply" | "update" | "merge" | "json" | "create";
  /** The `fieldManager`; none where empty. */
  readonly by: string;
  readonly body: unknown;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly subresource?: "status";
  /** The version that is asked; the case's own unless told. */
  readonly version?: string;
  /** What must be answered; 200 or 201 unless told. */
  readonly status?: number;
  /** Conflicts that must be told, as `field manager`. */
  readonly conflicts?: readonly string[];
  /** What the answer's message must say. */
  readonly says?: string;
  /** Nothing must have been written: the object's version stays. */
  readonly idle?: boolean;
}

/** A table's row of server-side apply: what is done to one object, and what is left. */
export interface ApplyCase {
  readonly name: string;
  readonly kind: keyof typeof caseKinds;
  /** Kubernetes itself does otherwise, as the documentation of this API says. */
  readonly own?: true;
  readonly steps: readonly Step[];
  /** Members that the object has at the end, besides `metadata` of the server's own. */
  readonly object: object;
  /** Who manages what at the end: fields by `manager operation [subresource]`. */
  readonly owners: Readonly<Record<string, object>>;
}

/** The kinds of the cases: their address, by version, and what every configuration of them needs. */
export const caseKinds = {
  ConfigMap: { root: "/api", group: "", versions: ["v1"], plural: "configmaps" },
  Deployment: { root: "/apis", group: "apps", versions: ["v1"], plural: "deployments" },
  ServiceEntry: {
    root: "/apis",
    group: "networking.istio.io",
    versions: ["v1", "v1beta1", "v1alpha3"],
    plural: "serviceentries",
  },
  VirtualService: {
    root: "/apis",
    group: "networking.istio.io",
    versions: ["v1", "v1beta1", "v1alpha3"],
    plural: "virtualservices",
  },
} as const;

/** Data of a ConfigMap. */
export const data = (values: object): object => ({ data: values });
/** An application. */
export const applied = (by: string, body: object, more: Partial<Step> = {}): Step => ({
  do: "apply",
  by,
  body,
  ...more,
});
/** A change by a merge patch. */
export const merged = (by: string, body: object, more: Partial<Step> = {}): Step => ({
  do: "merge",
  by,
  body,
  ...more,
});
/** The fields of a ConfigMap that hold data of these names. */
export const owned = (...names: readonly string[]): object => ({
  "f:data": Object.fromEntries(names.map((name) => [`f:${name}`, {}])),
});

/** A port of a ServiceEntry. */
export const port = (name: string, number: number, more: object = {}): object => ({
  name,
  number,
  protocol: "HTTP",
  ...more,
});
/** What a ServiceEntry is with these ports. */
export const entry = (...ports: readonly object[]): object => ({ spec: { hosts: ["a.example.com"], ports } });
/** A port of a ServiceEntry with some of its fields. */
export const ownedPort = (name: string, ...fields: readonly string[]): object => ({
  [`k:{"name":"${name}"}`]: {
    ".": {},
    ...Object.fromEntries(["name", ...fields].map((field) => [`f:${field}`, {}])),
  },
});
