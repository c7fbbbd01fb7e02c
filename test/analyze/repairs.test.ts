import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { analyze } from "#analysis/analyze/analyze.ts";
import { analyzers } from "#analysis/analyze/analyzers.ts";
import { parseFile } from "#analysis/analyze/document.ts";
import { loadFile } from "#analysis/analyze/load.ts";
import type { Message } from "#analysis/analyze/message.ts";
import { discoveryCases } from "#analysis/analyze/testing/discovery-cases.ts";
import { otherCases } from "#analysis/analyze/testing/other-cases.ts";
import { routingCases } from "#analysis/analyze/testing/routing-cases.ts";
import { fine } from "#analysis/analyze/testing/written.ts";
import type { ObjectRef } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { applyJsonPatch } from "#apiserver/patch/json-patch.ts";

const validator = new Validator();
/** What is told of unless only asked for: a repair may make an annotation known, and alpha. */
const usual = analyzers.filter(({ onRequest }) => onRequest !== true);
const repairable = [...routingCases, ...otherCases, ...discoveryCases].filter(({ fix }) => fix === true);

function messagesOf(objects: readonly unknown[]): readonly Message[] {
  const text = objects.map((object) => stringify(object)).join("---\n");
  const options = { namespace: "shop", cluster: "east", created: "2026-01-01T00:00:00Z", validator };
  return analyze({ snapshot: [], live: false, files: loadFile(text, "f.yaml", options), analyzers: usual, validator });
}

function isOf(object: unknown, { kind, name }: ObjectRef): boolean {
  const { kind: ownKind, metadata } = object as { readonly kind: string; readonly metadata: { readonly name: string } };
  return ownKind === kind && metadata.name === name;
}

function told({ type, resource, field }: Message): string {
  return [type.code, resource?.kind, resource?.name, field].join(" ");
}

describe("a repair, applied as the API server applies patches, takes the message away and makes no new one", () => {
  test.each(repairable)("$code $title", ({ code, bad }) => {
    const objects = parseFile(`${fine}---\n${bad}`, "f.yaml").values.map(({ value }) => value);
    const before = messagesOf(objects);
    const found = before.filter(({ type, fix }) => type.code === code && fix !== undefined);
    expect(found).not.toEqual([]);
    for (const message of found) {
      const { resource, fix } = message;
      const changed = objects.map((object) =>
        resource && fix && isOf(object, resource) ? applyJsonPatch(object, fix.patch) : object,
      );
      const after = messagesOf(changed).map(told);
      expect(after).not.toContain(told(message));
      const known = new Set(before.map(told));
      expect(after.filter((each) => !known.has(each))).toEqual([]);
    }
  });
});
