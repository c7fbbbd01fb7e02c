import fc from "fast-check";
import type { Kind } from "../kind.ts";
import { keyword } from "../schema.ts";
import type { SchemaNode } from "../shape.ts";

/** Texts of each format, and some for no format at all. */
const texts: Readonly<Record<string, fc.Arbitrary<string>>> = {
  "dns-label": fc.constantFrom("a", "shop", "a-1"),
  "dns-name": fc.constantFrom("a", "a.example.com", "1-a.b"),
  "dns-group": fc.constantFrom("", "apps", "gateway.networking.k8s.io"),
  "wildcard-dns-name": fc.constantFrom("a", "a.example.com", "*.example.com"),
  "kind-name": fc.constantFrom("Service", "Gateway", "a-1"),
  "controller-name": fc.constantFrom("example.com/a", "example.com/a/b~%2F"),
  "header-name": fc.constantFrom("X-Header", "a", "!#$%&'*+-.^_`|~"),
  "gateway-duration": fc.constantFrom("0s", "1h30m", "250ms", "1h2m3s4ms"),
  duration: fc.constantFrom("0s", "-1s", "250ms", "1h30m", "1.5s"),
  "positive-duration": fc.constantFrom("1ms", "250ms", "10s", "1h30m"),
  "date-time": fc.constantFrom("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+01:00"),
  quantity: fc.constantFrom("1", "500m", "1Gi", "1e3", "0.5"),
  byte: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString("base64")),
};

function textOf(node: SchemaNode): fc.Arbitrary<string> {
  if (Array.isArray(node["enum"])) return fc.constantFrom(...(node["enum"] as string[]));
  if (typeof node["pattern"] === "string") return fc.stringMatching(new RegExp(node["pattern"]));
  const minLength = (node["minLength"] as number | undefined) ?? 0;
  const maxLength = Math.min(12, (node["maxLength"] as number | undefined) ?? 12);
  return texts[node.format ?? ""] ?? fc.string({ minLength, maxLength });
}

function wholeOf(node: SchemaNode): fc.Arbitrary<number> {
  const { minimum = -1000, maximum = 1000 } = node;
  return fc.integer({ min: minimum, max: Math.min(maximum, 2_147_483_647) });
}

function listOf(node: SchemaNode, items: SchemaNode, depth: number): fc.Arbitrary<unknown[]> {
  const minLength = (node["minItems"] as number | undefined) ?? 0;
  const maxLength = Math.min(depth > 6 ? 1 : 2, (node["maxItems"] as number | undefined) ?? 2);
  return fc.array(valueOf(items, depth + 1), { minLength, maxLength: Math.max(minLength, maxLength) });
}

/** Of each group of fields of which one may be set, leaves the first that is. */
function settle(groups: readonly (readonly string[])[], value: Record<string, unknown>): Record<string, unknown> {
  const surplus = new Set(groups.flatMap((group) => group.filter((name) => name in value).slice(1)));
  return Object.fromEntries(Object.entries(value).filter(([name]) => !surplus.has(name)));
}

function objectOf(node: SchemaNode, properties: Readonly<Record<string, SchemaNode>>, depth: number) {
  const groups = (node[keyword.oneOf] as readonly (readonly string[])[] | undefined) ?? [];
  const names = Object.keys(properties);
  // The deeper, the fewer fields: objects stay small, and over many runs every field is met.
  const share = Math.ceil(names.length / (depth + 1));
  return fc
    .subarray(names, { maxLength: share })
    .chain((chosen) => {
      const needed = new Set([...(node.required ?? []), ...chosen]);
      const fields = [...needed].flatMap((name) => {
        const field = properties[name];
        return field === undefined ? [] : [[name, valueOf(field, depth + 1)] as const];
      });
      return fc.record(Object.fromEntries(fields));
    })
    .map((value) => settle(groups, value));
}

/** Values that fit a schema. */
function valueOf(node: SchemaNode, depth: number): fc.Arbitrary<unknown> {
  if (node.properties !== undefined) return objectOf(node, node.properties, depth);
  if (node.additionalProperties !== undefined) {
    const values = valueOf(node.additionalProperties, depth + 1);
    return fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), values, { maxKeys: 2, noNullPrototype: true });
  }
  if (node.items !== undefined) return listOf(node, node.items, depth);
  if (node[keyword.intOrString] === true) return fc.oneof(fc.nat(1000), fc.string({ maxLength: 8 }));
  if (node[keyword.preserveUnknown] === true)
    return fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { maxKeys: 2 });
  if (node.type === "string") return textOf(node);
  if (node.type === "integer") return wholeOf(node);
  if (node.type === "number") return fc.integer({ min: node.minimum ?? -100, max: node.maximum ?? 100 });
  if (node.type === "boolean") return fc.boolean();
  throw new Error(`no values for a schema of type ${String(node.type)}`);
}

/** Objects whose body fits a kind's schema, with metadata that is well. */
export function objectsOf(kind: Kind): fc.Arbitrary<Record<string, unknown>> {
  const [version] = kind.versions;
  const head = {
    apiVersion: kind.group === "" ? version.name : `${kind.group}/${version.name}`,
    kind: kind.kind,
    metadata: { name: "sample", ...(kind.namespaced ? { namespace: "shop" } : {}) },
  };
  return valueOf(kind.schema as unknown as SchemaNode, 0).map((body) => ({ ...head, ...(body as object) }));
}
