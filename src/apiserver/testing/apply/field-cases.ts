import { applied, data, merged, owned, type ApplyCase } from "./case.ts";

/** Kubernetes' documentation of server-side apply: fields, owners, conflicts. */
export const fieldCases: readonly ApplyCase[] = [
  {
    name: "who applies owns what is applied, and nothing else",
    kind: "ConfigMap",
    steps: [applied("a", { metadata: { labels: { app: "x" } }, data: { one: "1" } }, { status: 201 })],
    object: { metadata: { labels: { app: "x" } }, data: { one: "1" } },
    owners: { "a Apply": { "f:data": { "f:one": {} }, "f:metadata": { "f:labels": { "f:app": {} } } } },
  },
  {
    name: "the same again writes nothing",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1" })), applied("a", data({ one: "1" }), { idle: true })],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "changing another's field is a conflict, told with the field and the manager",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      applied("b", data({ one: "2" }), {
        status: 409,
        conflicts: ['.data.one conflict with "a"'],
        says: 'Apply failed with 1 conflict: conflict with "a": .data.one',
      }),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "all conflicts are told, those with updates with their version",
    kind: "ConfigMap",
    steps: [
      { do: "create", by: "c", body: data({ one: "1", two: "2" }) },
      applied("a", data({ three: "3" })),
      applied("b", data({ one: "x", two: "x", three: "x" }), {
        status: 409,
        conflicts: [
          '.data.one conflict with "c" using v1',
          '.data.three conflict with "a"',
          '.data.two conflict with "c" using v1',
        ],
        says: 'Apply failed with 3 conflicts: conflicts with "a":\n- .data.three\nconflicts with "c" using v1:\n- .data.one\n- .data.two',
      }),
    ],
    object: data({ one: "1", two: "2", three: "3" }),
    owners: { "a Apply": owned("three"), "c Update": { "f:data": { ".": {}, "f:one": {}, "f:two": {} } } },
  },
  {
    name: "force takes the field, and its former owner keeps the others",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1", two: "2" })), applied("b", data({ one: "x" }), { force: true })],
    object: data({ one: "x", two: "2" }),
    owners: { "a Apply": owned("two"), "b Apply": owned("one") },
  },
  {
    name: "the same value is shared",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1" })), applied("b", data({ one: "1" }))],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one"), "b Apply": owned("one") },
  },
  {
    name: "who stops to apply a shared value leaves it to the other",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1", two: "2" })),
      applied("b", data({ one: "1" })),
      applied("a", data({ two: "2" })),
    ],
    object: data({ one: "1", two: "2" }),
    owners: { "a Apply": owned("two"), "b Apply": owned("one") },
  },
  {
    name: "a shared value that one changes is a conflict with the other",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      applied("b", data({ one: "1" })),
      applied("a", data({ one: "2" }), { status: 409, conflicts: ['.data.one conflict with "b"'] }),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one"), "b Apply": owned("one") },
  },
  {
    name: "a field that is not applied any more goes",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1", two: "2" })), applied("a", data({ one: "1" }))],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "the last one goes with the map that it stood in",
    kind: "ConfigMap",
    steps: [
      applied("a", { metadata: { labels: { app: "x" } }, data: { one: "1" } }),
      applied("a", { metadata: { labels: { app: "x" } } }),
    ],
    object: { metadata: { labels: { app: "x" } } },
    owners: { "a Apply": { "f:metadata": { "f:labels": { "f:app": {} } } } },
  },
  {
    name: "an update takes the field from who applied it, and it stays when that one forgets it",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1", two: "2" })),
      merged("scaler", data({ one: "9" })),
      applied("a", data({ two: "2" })),
    ],
    object: data({ one: "9", two: "2" }),
    owners: { "a Apply": owned("two"), "scaler Update": owned("one") },
  },
  {
    name: "a field that another update removes is nobody's",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1", two: "2" })), merged("b", data({ one: null }))],
    object: data({ two: "2" }),
    owners: { "a Apply": owned("two") },
  },
  {
    name: "a manager that updates and applies is two",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1" })), merged("a", data({ two: "2" })), merged("a", data({ three: "3" }))],
    object: data({ one: "1", two: "2", three: "3" }),
    owners: { "a Apply": owned("one"), "a Update": owned("three", "two") },
  },
  {
    name: "an update that changes nothing owns nothing",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1" })), merged("b", data({ one: "1" }), { idle: true })],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "a dry run says what would be and leaves all as it was",
    kind: "ConfigMap",
    steps: [applied("a", data({ one: "1" })), applied("b", data({ two: "2" }), { dryRun: true, idle: true })],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "a version that is not the newest is a conflict",
    kind: "ConfigMap",
    steps: [
      applied("a", data({ one: "1" })),
      applied("a", { metadata: { resourceVersion: "1" }, data: { one: "2" } }, { status: 409 }),
    ],
    object: data({ one: "1" }),
    owners: { "a Apply": owned("one") },
  },
  {
    name: "what stood before anybody applied is somebody's: conflicts with it are told",
    kind: "ConfigMap",
    steps: [
      { do: "create", by: "c", body: data({ one: "1" }) },
      merged("c", { metadata: { managedFields: [{}] } }),
      applied("a", data({ one: "2" }), {
        status: 409,
        conflicts: ['.data.one conflict with "before-first-apply" using v1'],
      }),
      applied("a", data({ two: "2" })),
    ],
    object: data({ one: "1", two: "2" }),
    owners: { "a Apply": owned("two"), "before-first-apply Update": { "f:data": { ".": {}, "f:one": {} } } },
  },
];
