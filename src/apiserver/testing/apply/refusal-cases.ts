import { applied, data, entry, merged, owned, ownedPort, port, type ApplyCase } from "./case.ts";

/** What is refused. */
export const refusalCases: readonly ApplyCase[] = [
  {
    name: "who does not say who applies is refused",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      applied("", data({ one: "2" }), {
        status: 422,
        says: "fieldManager: Required value: is required for apply patch",
      }),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "a name that is too long is refused",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      applied("x".repeat(129), data({ one: "2" }), { status: 422, says: "may not be more than 128 bytes" }),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "force is for applying only",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      merged("a", data({ one: "2" }), {
        force: true,
        status: 422,
        says: "force: Forbidden: may not be specified for non-apply patch",
      }),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "managed fields are not applied",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      applied(
        "a",
        { metadata: { managedFields: [{}] } },
        {
          status: 400,
          says: "metadata.managedFields must be nil",
        },
      ),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "a field that the schema does not know is refused",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80))),
      applied("a", { spec: { host: "x" } }, { status: 500, says: ".spec.host: field not declared in schema" }),
    ],
    object: entry(port("http", 80)),
    owners: { "a Apply": { "f:spec": { "f:hosts": {}, "f:ports": ownedPort("http", "number", "protocol") } } },
  },
];
