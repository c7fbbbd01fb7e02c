import { applied, entry, merged, ownedPort, port, type ApplyCase } from "./case.ts";

/** Lists, by what the kinds' schemas say of them. */
export const listCases: readonly ApplyCase[] = [
  {
    name: "items of a list with keys have owners of their own",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80))),
      applied("b", { spec: { ports: [port("grpc", 90)] } }),
      applied("a", entry(port("http", 81))),
    ],
    object: { spec: { hosts: ["a.example.com"], ports: [port("http", 81), port("grpc", 90)] } },
    owners: {
      "a Apply": { "f:spec": { "f:hosts": {}, "f:ports": ownedPort("http", "number", "protocol") } },
      "b Apply": { "f:spec": { "f:ports": ownedPort("grpc", "number", "protocol") } },
    },
  },
  {
    name: "an item that is not applied any more goes, and those of others stay",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80), port("tls", 443))),
      applied("b", { spec: { ports: [port("grpc", 90)] } }),
      applied("a", entry(port("http", 80))),
    ],
    object: { spec: { hosts: ["a.example.com"], ports: [port("http", 80), port("grpc", 90)] } },
    owners: {
      "a Apply": { "f:spec": { "f:hosts": {}, "f:ports": ownedPort("http", "number", "protocol") } },
      "b Apply": { "f:spec": { "f:ports": ownedPort("grpc", "number", "protocol") } },
    },
  },
  {
    name: "of one item two can own different fields; the item stays while one owns it",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80), port("tls", 443))),
      applied("b", { spec: { ports: [{ name: "tls", targetPort: 8443, number: 443, protocol: "HTTP" }] } }),
      applied("a", entry(port("http", 80))),
    ],
    object: {
      spec: { hosts: ["a.example.com"], ports: [port("http", 80), port("tls", 443, { targetPort: 8443 })] },
    },
    owners: {
      "a Apply": { "f:spec": { "f:hosts": {}, "f:ports": ownedPort("http", "number", "protocol") } },
      "b Apply": { "f:spec": { "f:ports": ownedPort("tls", "number", "protocol", "targetPort") } },
    },
  },
  {
    name: "a conflict inside an item names it by its key",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80))),
      applied(
        "b",
        { spec: { ports: [port("http", 81)] } },
        {
          status: 409,
          conflicts: ['.spec.ports[name="http"].number conflict with "a"'],
        },
      ),
    ],
    object: entry(port("http", 80)),
    owners: { "a Apply": { "f:spec": { "f:hosts": {}, "f:ports": ownedPort("http", "number", "protocol") } } },
  },
  {
    name: "a list without keys has one owner",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80))),
      applied(
        "b",
        { spec: { hosts: ["b.example.com"] } },
        {
          status: 409,
          conflicts: ['.spec.hosts conflict with "a"'],
        },
      ),
      applied("b", { spec: { hosts: ["b.example.com"] } }, { force: true }),
    ],
    object: { spec: { hosts: ["b.example.com"], ports: [port("http", 80)] } },
    owners: {
      "a Apply": { "f:spec": { "f:ports": ownedPort("http", "number", "protocol") } },
      "b Apply": { "f:spec": { "f:hosts": {} } },
    },
  },
  {
    name: "values of a set have owners of their own",
    kind: "ConfigMap",
    steps: [
      applied("a", { metadata: { finalizers: ["example.com/a"] } }),
      applied("b", { metadata: { finalizers: ["example.com/b"] } }),
      applied("a", { metadata: { labels: { x: "y" } } }),
    ],
    object: { metadata: { labels: { x: "y" }, finalizers: ["example.com/b"] } },
    owners: {
      "a Apply": { "f:metadata": { "f:labels": { "f:x": {} } } },
      "b Apply": { "f:metadata": { "f:finalizers": { 'v:"example.com/b"': {} } } },
    },
  },
  {
    name: "a list of another's stays, empty, when the last item goes that was put into it",
    kind: "ServiceEntry",
    own: true,
    steps: [
      applied("a", { spec: { hosts: ["a.example.com"] } }),
      merged("c", { spec: { ports: [] } }),
      applied("b", { spec: { ports: [port("http", 80)] } }),
      applied("b", { metadata: { labels: { x: "y" } } }),
    ],
    object: { metadata: { labels: { x: "y" } }, spec: { hosts: ["a.example.com"], ports: [] } },
    owners: {
      "a Apply": { "f:spec": { "f:hosts": {} } },
      "b Apply": { "f:metadata": { "f:labels": { "f:x": {} } } },
      "c Update": { "f:spec": { "f:ports": {} } },
    },
  },
  {
    name: "one item twice is refused",
    kind: "ServiceEntry",
    steps: [
      applied("a", entry(port("http", 80))),
      applied(
        "b",
        { spec: { ports: [port("x", 1), port("x", 2)] } },
        {
          status: 500,
          says: 'duplicate entries for key [name="x"]',
        },
      ),
    ],
    object: entry(port("http", 80)),
    owners: { "a Apply": { "f:spec": { "f:hosts": {}, "f:ports": ownedPort("http", "number", "protocol") } } },
  },
  {
    name: "a rule's routes are one list with one owner",
    kind: "VirtualService",
    steps: [
      applied("a", {
        spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] },
      }),
      applied(
        "b",
        { spec: { http: [{ route: [{ destination: { host: "ratings" } }] }] } },
        {
          status: 409,
          conflicts: ['.spec.http conflict with "a"'],
        },
      ),
    ],
    object: { spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] } },
    owners: { "a Apply": { "f:spec": { "f:hosts": {}, "f:http": {} } } },
  },
];
