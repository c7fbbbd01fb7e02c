import { describe, expect, test } from "vitest";
import type { Admission } from "../validation.ts";
import { kinds } from "../kinds.ts";
import { Validator } from "../validation.ts";

const validator = new Validator();

function admit(kind: string, spec: object, metadata: object = {}): Admission {
  const found = kinds.find((one) => one.group.endsWith(".istio.io") && one.kind === kind);
  if (found === undefined) throw new Error(`no kind ${kind}`);
  const object = {
    apiVersion: `${found.group}/${found.versions[0].name}`,
    kind,
    metadata: { name: "sample", namespace: "shop", ...metadata },
    spec,
  };
  return validator.admit(found, object);
}

function errorsOf(kind: string, spec: object, metadata: object = {}): readonly string[] {
  return admit(kind, spec, metadata).errors.map(({ field, message }) => `${field}: ${message}`);
}

/** A specification, and the one error that it gets. */
type Case = readonly [spec: object, error: string];

const selector = { matchLabels: { app: "reviews" } };

const selectors: readonly Case[] = [
  [
    { selector: { matchLabels: { "": "a" } } },
    'spec.selector.matchLabels: Invalid value: "": a label\'s name must not be empty',
  ],
  [
    { selector: { matchLabels: { app: "a*" } } },
    'spec.selector.matchLabels[app]: Invalid value: "a*": wildcards are not supported',
  ],
  [
    { selector: { matchLabels: { app: "a".repeat(64) } } },
    `spec.selector.matchLabels.app: Invalid value: "${"a".repeat(64)}": must have 63 characters or fewer`,
  ],
];

describe("ProxyConfig", () => {
  test.each<Case>([
    ...selectors,
    [{ concurrency: -1 }, "spec.concurrency: Invalid value: -1: must be 0 or more"],
    [{ concurrency: 1.5 }, "spec.concurrency: Invalid value: 1.5: must be of type integer"],
  ])("%j", (spec, error) => {
    expect(errorsOf("ProxyConfig", spec)).toEqual([error]);
  });

  test("of an empty selector is warned", () => {
    expect(admit("ProxyConfig", { selector: { matchLabels: {} } }).warnings).toEqual([
      "spec.selector: without labels, all workloads of the namespace are selected",
    ]);
  });
});

describe("PeerAuthentication", () => {
  test.each<Case>([
    ...selectors,
    [
      { mtls: { mode: "STRIKT" } },
      'spec.mtls.mode: Unsupported value: "STRIKT": supported values: "UNSET", "DISABLE", "PERMISSIVE", "STRICT"',
    ],
    [{ selector, portLevelMtls: {} }, "spec.portLevelMtls: Required value: one port or more"],
    [{ portLevelMtls: { 80: {} } }, "spec.portLevelMtls: Forbidden: needs a selector with labels"],
    [{ selector: {}, portLevelMtls: { 80: {} } }, "spec.portLevelMtls: Forbidden: needs a selector with labels"],
    ...["0", "65536", "http", "-1"].map((port): Case => [
      { selector, portLevelMtls: { [port]: { mode: "STRICT" } } },
      `spec.portLevelMtls: Invalid value: "${port}": a port must be between 1 and 65535`,
    ]),
  ])("%j", (spec, error) => {
    expect(errorsOf("PeerAuthentication", spec)).toEqual([error]);
  });

  test("cannot be tried out", () => {
    expect(errorsOf("PeerAuthentication", {}, { annotations: { "istio.io/dry-run": "true" } })).toEqual([
      "metadata.annotations[istio.io/dry-run]: Forbidden: may not be set on this type",
    ]);
  });
});
