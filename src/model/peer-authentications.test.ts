import { describe, expect, it } from "vitest";
import { modelOf } from "./testing/objects.ts";

/** A PeerAuthentication, made on a day of January. */
function peer(name: string, namespace: string, spec: string, day = 1): string {
  const created = `2026-01-${String(day).padStart(2, "0")}T00:00:00Z`;
  return `{ kind: PeerAuthentication, metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }, spec: ${spec} }`;
}

const reviews = { namespace: "shop", labels: { app: "reviews", version: "v1" } };
const chosen = "selector: { matchLabels: { app: reviews } }";

/** What a workload takes, as Istio's reference "PeerAuthentication" has it. */
const cases: readonly (readonly [name: string, objects: readonly string[], policy: object])[] = [
  ["nothing: PERMISSIVE", [], { mode: "PERMISSIVE", ports: {} }],
  ["the mesh's", [peer("a", "istio-system", "{ mtls: { mode: STRICT } }")], { mode: "STRICT", ports: {} }],
  [
    "a namespace's before the mesh's",
    [peer("a", "istio-system", "{ mtls: { mode: STRICT } }"), peer("a", "shop", "{ mtls: { mode: DISABLE } }", 2)],
    { mode: "DISABLE", ports: {} },
  ],
  [
    "a workload's before its namespace's",
    [peer("a", "shop", "{ mtls: { mode: DISABLE } }"), peer("b", "shop", `{ ${chosen}, mtls: { mode: STRICT } }`, 2)],
    { mode: "STRICT", ports: {} },
  ],
  [
    "UNSET: as the next wider one says, of modes and of ports",
    [
      peer("a", "istio-system", "{ mtls: { mode: STRICT } }"),
      peer("a", "shop", "{ mtls: { mode: UNSET } }", 2),
      peer("b", "shop", `{ ${chosen}, portLevelMtls: { 80: { mode: UNSET }, 81: { mode: DISABLE } } }`, 3),
    ],
    { mode: "STRICT", ports: { 80: "STRICT", 81: "DISABLE" } },
  ],
  ["an empty one: PERMISSIVE", [peer("a", "shop", "{}")], { mode: "PERMISSIVE", ports: {} }],
  [
    "the oldest of several, whatever its name",
    [
      peer("a", "shop", "{ mtls: { mode: DISABLE } }", 2),
      peer("z", "shop", "{ mtls: { mode: STRICT } }"),
      peer("b", "shop", `{ ${chosen}, mtls: { mode: STRICT } }`, 3),
      peer("c", "shop", "{ selector: { matchLabels: { version: v1 } }, mtls: { mode: PERMISSIVE } }", 2),
    ],
    { mode: "PERMISSIVE", ports: {} },
  ],
  [
    "of the root namespace none with a selector, of other namespaces none at all",
    [
      peer("a", "istio-system", `{ ${chosen}, mtls: { mode: STRICT } }`),
      peer("a", "other", "{ mtls: { mode: STRICT } }"),
    ],
    { mode: "PERMISSIVE", ports: {} },
  ],
];

describe("PeerAuthentications of a workload", () => {
  it.each(cases)("%s", (_name, objects, policy) => {
    expect(modelOf(objects.join("\n---\n")).peers.policy(reviews)).toMatchObject(policy);
  });

  it("are for others of its namespace too where they have no selector", () => {
    const { peers } = modelOf(
      [
        peer("a", "shop", "{ mtls: { mode: STRICT } }"),
        peer("b", "shop", `{ ${chosen}, mtls: { mode: DISABLE } }`),
      ].join("\n---\n"),
    );
    expect(peers.policy({ namespace: "shop", labels: { app: "ratings" } }).mode).toBe("STRICT");
    expect(peers.isOffIn.get("shop")).toBe(false);
    expect([peers.isOffAt(reviews, 80), peers.isOffAt({ ...reviews, labels: {} }, 80)]).toEqual([true, false]);
    expect(peers.policy(reviews).by).toEqual(["shop/b", "shop/a"]);
  });

  it("turn mutual TLS off for ports of their own", () => {
    const { peers } = modelOf(peer("b", "shop", `{ ${chosen}, portLevelMtls: { 81: { mode: DISABLE } } }`));
    expect([80, 81].map((port) => peers.isOffAt(reviews, port))).toEqual([false, true]);
  });

  it("are told of where they have no effect", () => {
    const { findings } = modelOf(
      [
        peer("a", "shop", "{}"),
        peer("z", "shop", "{ mtls: { mode: STRICT } }", 2),
        peer("b", "shop", `{ ${chosen} }`),
        peer("c", "istio-system", `{ ${chosen} }`),
      ].join("\n---\n"),
    );
    const codes = (namespace: string, name: string): readonly string[] =>
      findings.get({ kind: "PeerAuthentication", namespace, name }).map(({ code, field = "" }) => `${code} ${field}`);
    expect(codes("shop", "a")).toEqual([]);
    expect(codes("shop", "z")).toEqual(["ConflictingPolicies metadata.name"]);
    expect(codes("shop", "b")).toEqual(["NoWorkload spec.selector.matchLabels"]);
    expect(codes("istio-system", "c")).toEqual(["NoWorkload spec.selector.matchLabels"]);
  });
});
