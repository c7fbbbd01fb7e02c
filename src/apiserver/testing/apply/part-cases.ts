import { applied, merged, type ApplyCase } from "./case.ts";

function workload(spec: object, container: object = {}): object {
  return {
    spec: {
      selector: { matchLabels: { app: "x" } },
      template: {
        metadata: { labels: { app: "x" } },
        spec: { containers: [{ name: "main", image: "web", ...container }] },
      },
      ...spec,
    },
  };
}

const rule = { spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] } };
const ownedRule = { "f:spec": { "f:hosts": {}, "f:http": {} } };

/** Versions of one kind, and the status. */
export const partCases: readonly ApplyCase[] = [
  {
    name: "who applies in another version is the same manager",
    kind: "VirtualService",
    steps: [
      applied("a", rule, { version: "v1alpha3" }),
      applied("a", { ...rule, metadata: { labels: { x: "y" } } }, { version: "v1beta1" }),
      applied("a", rule, { version: "v1" }),
    ],
    object: rule,
    owners: { "a Apply": ownedRule },
  },
  {
    name: "fields have owners whatever version they were written in",
    kind: "VirtualService",
    steps: [
      applied("a", rule, { version: "v1alpha3" }),
      applied(
        "b",
        { spec: { hosts: ["ratings"] } },
        {
          version: "v1",
          status: 409,
          conflicts: ['.spec.hosts conflict with "a"'],
        },
      ),
    ],
    object: rule,
    owners: { "a Apply": ownedRule },
  },
  {
    name: "the status has managers of its own, and who writes the object has no part in it",
    kind: "VirtualService",
    steps: [
      applied("a", { ...rule, status: { observedGeneration: 9 } }),
      applied("mesh", { status: { observedGeneration: 1 } }, { subresource: "status" }),
      merged(
        "watcher",
        { status: { conditions: [{ type: "Reconciled", status: "True" }] } },
        { subresource: "status" },
      ),
      applied("a", { ...rule, status: { observedGeneration: 7 } }, { idle: true }),
    ],
    object: { ...rule, status: { observedGeneration: 1, conditions: [{ type: "Reconciled", status: "True" }] } },
    owners: {
      "a Apply": ownedRule,
      "mesh Apply status": { "f:status": { "f:observedGeneration": {} } },
      "watcher Update status": { "f:status": { "f:conditions": {} } },
    },
  },
  {
    name: "conflicts in the status name its manager with the subresource",
    kind: "VirtualService",
    steps: [
      applied("a", rule),
      applied("mesh", { status: { observedGeneration: 1 } }, { subresource: "status" }),
      applied(
        "other",
        { status: { observedGeneration: 2 } },
        {
          subresource: "status",
          status: 409,
          conflicts: ['.status.observedGeneration conflict with "mesh" with subresource "status"'],
        },
      ),
    ],
    object: { ...rule, status: { observedGeneration: 1 } },
    owners: { "a Apply": ownedRule, "mesh Apply status": { "f:status": { "f:observedGeneration": {} } } },
  },
  {
    name: "defaults are nobody's, and what is not applied any more gets its default again",
    kind: "Deployment",
    steps: [applied("a", workload({ replicas: 3 })), applied("a", workload({}))],
    object: { spec: { replicas: 1 } },
    owners: {
      "a Apply": {
        "f:spec": {
          "f:selector": {},
          "f:template": {
            "f:metadata": { "f:labels": { "f:app": {} } },
            "f:spec": { "f:containers": { 'k:{"name":"main"}': { ".": {}, "f:name": {}, "f:image": {} } } },
          },
        },
      },
    },
  },
  {
    name: "a key that is not said counts as its default",
    kind: "Deployment",
    steps: [
      applied("a", workload({}, { ports: [{ containerPort: 80, name: "web" }] })),
      applied("b", workload({}, { ports: [{ containerPort: 80, protocol: "TCP", name: "other" }] }), {
        status: 409,
        conflicts: [
          '.spec.template.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"].name conflict with "a"',
        ],
      }),
    ],
    object: {},
    owners: {
      "a Apply": {
        "f:spec": {
          "f:selector": {},
          "f:template": {
            "f:metadata": { "f:labels": { "f:app": {} } },
            "f:spec": {
              "f:containers": {
                'k:{"name":"main"}': {
                  ".": {},
                  "f:name": {},
                  "f:image": {},
                  "f:ports": {
                    'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {}, "f:name": {} },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
];
