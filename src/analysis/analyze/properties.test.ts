import fc from "fast-check";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import type { Kind } from "#api/kind.ts";
import { kinds } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { messageTypes } from "#api/message-types.ts";
import { Validator } from "#api/validation.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { acceptedObjects } from "#translate/testing/from-schema.ts";
import { analyze } from "./analyze.ts";
import { analyzers } from "./analyzers.ts";
import { type Loaded, loadFile } from "./load.ts";
import type { Message } from "./message.ts";
import { fine } from "./testing/written.ts";

const validator = new Validator();
const istios: readonly Kind[] = kinds.filter(
  ({ group, schema }) => group.endsWith(".istio.io") && schema.properties["spec"] !== undefined,
);
const objects = fc.array(fc.oneof(...istios.map(acceptedObjects)), { minLength: 1, maxLength: 6 });

function load(text: string): Loaded {
  return loadFile(text, "f.yaml", { namespace: "shop", cluster: "east", created: "2026-01-01T00:00:00Z", validator });
}

function judged(files: Loaded, live: boolean, snapshot: readonly ResourceObject[] = []): readonly Message[] {
  const placed = snapshot.map((object) => ({ object, cluster: "" }));
  return analyze({ snapshot: placed, live, files, analyzers, validator });
}

test("anything that the API accepts is analyzed, and every message is complete", { timeout: patience(150_000) }, () => {
  const codes = new Set(messageTypes.map(({ code }) => code));
  fc.assert(
    fc.property(objects, fc.boolean(), (made, live) => {
      const text = `${fine}---\n${made.map((object) => stringify(object)).join("---\n")}`;
      for (const { type, position, message } of judged(load(text), live)) {
        expect(codes).toContain(type.code);
        expect(message).not.toMatch(/undefined|\[object/);
        expect(position?.line).toBeGreaterThan(0);
        expect(text.split("\n")[(position?.line ?? 0) - 1]?.length).toBeGreaterThanOrEqual((position?.column ?? 0) - 1);
      }
      for (const { position } of judged(load(fine), live, made)) expect(position?.file ?? "f.yaml").toBe("f.yaml");
    }),
    { numRuns: runs(60) },
  );
});

test("any values in the place of objects are told of, not fallen over", () => {
  const value = fc.jsonValue({ maxDepth: 4 });
  const word = fc.constantFrom("Service", "VirtualService", "Deployment", "Pod", "Gateway", "Sidecar", "List", "x");
  const version = fc.constantFrom("v1", "apps/v1", "networking.istio.io/v1", "networking.istio.io/v9", "", "a/b/c");
  const odd = fc.record(
    { apiVersion: fc.oneof(version, value), kind: fc.oneof(word, value), metadata: value, spec: value, items: value },
    { requiredKeys: [] },
  );
  const named = fc.record({
    apiVersion: version,
    kind: word,
    metadata: fc.record({ name: fc.string(), labels: value, annotations: value }, { requiredKeys: ["name"] }),
    spec: fc.oneof(value, fc.record({ ports: value, template: value, hosts: value, servers: value, http: value })),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(odd, named, value), { maxLength: 3 }), (made) => {
      const loaded = load(made.map((object) => stringify(object)).join("---\n"));
      expect(judged(loaded, false)).toBeInstanceOf(Array);
    }),
    { numRuns: runs(200) },
  );
});

test("any text is read or told of", () => {
  const piece = fc.constantFrom(
    "kind: Service",
    "a:",
    "  - b",
    "{",
    "}",
    "[",
    "&a x",
    "*a",
    "---",
    "\n",
    "'",
    '"',
    "|",
    "!!set",
    "? ",
    "%TAG",
    "\t",
    "<<: ",
    "💥",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece, { maxLength: 12 }).map((all) => all.join("\n")),
      ),
      (text) => {
        const { objects: read, problems } = load(text);
        expect(read).toEqual([]);
        for (const { position } of problems) expect(position.line).toBeGreaterThan(0);
      },
    ),
    { numRuns: runs(300) },
  );
});
