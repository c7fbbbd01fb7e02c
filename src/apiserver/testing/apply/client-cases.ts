import { applied, data, merged, owned, type ApplyCase } from "./case.ts";

/** What clients say of managed fields themselves, and how kubectl's own apply passes over to the server's. */
export const clientCases: readonly ApplyCase[] = [
  {
    name: "an update without managed fields takes them from nobody",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      { do: "update", by: "b", body: { metadata: { managedFields: null }, data: { two: "2" } } },
    ],
    object: data({ one: "1", two: "2" }),
    owners: { "a Apply": owned("one"), "b Update": owned("two") },
  },
  {
    name: "an update with managed fields that mean nothing takes them from nobody",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      {
        do: "update",
        by: "b",
        body: { metadata: { managedFields: [{ manager: "x", operation: "Steal" }] }, data: { two: "2" } },
      },
    ],
    object: data({ one: "1", two: "2" }),
    owners: { "a Apply": owned("one"), "b Update": owned("two") },
  },
  {
    name: "an empty entry forgets all managers",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1" })), merged("b", { metadata: { managedFields: [{}] } })],
    object: data({ one: "1" }),
    owners: {},
  },
  {
    name: "managers that a client gives are taken as they are",
    kind: "ConfigMap",
    steps: [
      { do: "create", by: "kubectl-client-side-apply", body: data({ one: "1" }) },
      {
        do: "json",
        by: "b",
        body: [
          {
            op: "replace",
            path: "/metadata/managedFields",
            value: [
              {
                manager: "kubectl",
                operation: "Apply",
                apiVersion: "v1",
                fieldsType: "FieldsV1",
                fieldsV1: { "f:data": { "f:one": {} } },
              },
            ],
          },
        ],
      },
      applied("kubectl", data({ two: "2" })),
    ],
    object: data({ two: "2" }),
    owners: { "kubectl Apply": owned("two") },
  },
  {
    name: "kubectl takes over what it applied itself, without conflicts",
    kind: "ConfigMap",
    steps: [
      {
        do: "create",
        by: "kubectl-client-side-apply",
        body: {
          metadata: {
            annotations: {
              "kubectl.kubernetes.io/last-applied-configuration":
                '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"},"data":{"one":"1"}}',
            },
          },
          data: { one: "1" },
        },
      },
      applied("other", data({ one: "2" }), {
        status: 409,
        conflicts: ['.data.one conflict with "kubectl-client-side-apply" using v1'],
      }),
      applied("kubectl", data({ one: "2" })),
    ],
    object: data({ one: "2" }),
    owners: {
      "kubectl Apply": owned("one"),
      "kubectl-client-side-apply Update": {
        "f:data": { ".": {} },
        "f:metadata": {
          "f:annotations": { ".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {} },
        },
      },
    },
  },
  {
    name: "more than ten that update are put together, the oldest first",
    kind: "ConfigMap",
    steps: Array.from({ length: 12 }, (_, at) =>
      merged(`u${String(at).padStart(2, "0")}`, data({ [`k${at}`]: "v" }), at === 0 ? { do: "create" } : {}),
    ),
    object: {},
    owners: {
      "ancient-changes Update": { "f:data": { ".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {} } },
      ...Object.fromEntries(
        Array.from({ length: 9 }, (_, at) => [`u${String(at + 3).padStart(2, "0")} Update`, owned(`k${at + 3}`)]),
      ),
    },
  },
];
