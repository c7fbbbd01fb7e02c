import { equal } from "#base/canonical.ts";
import type { FieldError } from "../kind.ts";
import { FieldPath, forbidden, invalid, required } from "../field.ts";
import { ownValue } from "../record.ts";
import type { ConfigMap } from "./config-map.ts";
import type { Secret } from "./secret.ts";

/** Contents of one ConfigMap or Secret, in bytes. */
const sizeLimit = 1024 * 1024;

const keyPattern = /^[-._a-zA-Z0-9]+$/;

/** Keys that Secrets of some types must have. */
const neededKeys: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
};

type Contents = Readonly<Record<string, string>> | undefined;

function* validateKeys(contents: Contents, path: FieldPath): Generator<FieldError> {
  for (const key of Object.keys(contents ?? {})) {
    const fine = keyPattern.test(key) && key.length <= 253 && key !== "." && !key.startsWith("..");
    if (!fine)
      yield invalid(path.key(key), key, "a key must be letters, digits, '-', '_' and '.', at most 253 characters");
  }
}

function sizeOf(contents: Contents, encoding: "utf8" | "base64"): number {
  return Object.values(contents ?? {}).reduce((sum, text) => sum + Buffer.byteLength(text, encoding), 0);
}

function* validateSize(bytes: number, path: FieldPath): Generator<FieldError> {
  if (bytes > sizeLimit) yield invalid(path, `${bytes} bytes`, `must have ${sizeLimit} bytes or fewer in all`);
}

/** Checks a ConfigMap as Kubernetes does. */
export function* validateConfigMap({ data, binaryData }: ConfigMap): Generator<FieldError> {
  const path = FieldPath.root;
  yield* validateKeys(data, path.field("data"));
  yield* validateKeys(binaryData, path.field("binaryData"));
  for (const key of Object.keys(binaryData ?? {})) {
    if (ownValue(data, key) !== undefined)
      yield invalid(path.field("data").key(key), key, "must not be in binaryData too");
  }
  yield* validateSize(sizeOf(data, "utf8") + sizeOf(binaryData, "base64"), path.field("data"));
}

/** Checks a Secret as Kubernetes does. */
export function* validateSecret({ data, type }: Secret): Generator<FieldError> {
  const path = FieldPath.root.field("data");
  yield* validateKeys(data, path);
  for (const key of ownValue(neededKeys, type) ?? [])
    if (ownValue(data, key) === undefined) yield required(path.key(key));
  yield* validateSize(sizeOf(data, "base64"), path);
}

/** Checks a change of a ConfigMap or Secret: one that is immutable stays as it is, and so does a Secret's type. */
export function* validateDataUpdate<One extends ConfigMap | Secret>(object: One, before: One): Generator<FieldError> {
  const path = FieldPath.root;
  if ("type" in object && object["type"] !== before["type"]) {
    yield invalid(path.field("type"), object["type"], "field is immutable");
  }
  if (!before.immutable) return;
  if (!object.immutable) yield forbidden(path.field("immutable"), "field is immutable when `immutable` is set");
  for (const name of ["data", "binaryData"]) {
    if (!equal(object[name], before[name])) {
      yield forbidden(path.field(name), "field is immutable when `immutable` is set");
    }
  }
}
