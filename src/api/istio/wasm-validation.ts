import { duplicate, type FieldPath, forbidden, invalid } from "../field.ts";
import type { Errors } from "./names.ts";
import type { TrafficSelector, VmConfig } from "./wasm.ts";

const schemes = new Set(["file", "http", "https", "oci"]);

/** Says why a text is no place of a module: a URL, or one without its scheme. */
function urlProblem(text: string): string | undefined {
  const scheme = /^([A-Za-z][-A-Za-z0-9+.]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && !schemes.has(scheme)) return "must have the scheme oci, https, http or file";
  const whole = scheme === undefined && !text.startsWith("/") ? `http://${text}` : text;
  const fine = whole.startsWith("/") || URL.canParse(whole);
  const escapes = !/%(?![0-9A-Fa-f]{2})/.test(text);
  return fine && escapes ? undefined : "must be a URL, such as oci://registry.example.com/filter:v1";
}

/** Checks where a WebAssembly module is, and its environment. */
export function* validateModule(
  module: { readonly url: string; readonly vmConfig?: VmConfig },
  path: FieldPath,
): Errors {
  const problem = urlProblem(module.url);
  if (problem !== undefined) yield invalid(path.field("url"), module.url, problem);
  const names = new Set<string>();
  for (const [index, { name, value, valueFrom }] of (module.vmConfig?.env ?? []).entries()) {
    const at = path.field("vmConfig", "env").item(index);
    if (names.has(name)) yield duplicate(at.field("name"), name);
    names.add(name);
    if (valueFrom === "HOST" && value !== undefined) yield forbidden(at.field("value"), "only with valueFrom INLINE");
  }
}

/** Checks which traffic passes an extension. */
export function* validateTraffic(match: readonly TrafficSelector[] | undefined, path: FieldPath): Errors {
  for (const [index, { ports = [] }] of (match ?? []).entries()) {
    const seen = new Set<number>();
    for (const [at, { number }] of ports.entries()) {
      if (seen.has(number)) yield duplicate(path.item(index).field("ports").item(at).field("number"), number);
      seen.add(number);
    }
  }
}
