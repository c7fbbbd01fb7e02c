import { isIP } from "node:net";
import type { FieldError } from "../kind.ts";
import { duplicate, FieldPath, invalid } from "../field.ts";
import { textFormats } from "../formats.ts";
import { keyProblem, labelValueProblem } from "../metadata.ts";
import type { Gateway, GatewaySpec } from "./gateway.ts";
import { validateListeners } from "./listener-validation.ts";

function* validateAddresses(addresses: NonNullable<GatewaySpec["addresses"]>, path: FieldPath): Generator<FieldError> {
  const seen = new Set<string>();
  for (const [index, { type, value }] of addresses.entries()) {
    const at = path.item(index).field("value");
    if (value === undefined) continue;
    if (type === "IPAddress" && isIP(value) === 0) yield invalid(at, value, "must be an IP address");
    const format = textFormats["wildcard-dns-name"];
    if (type === "Hostname" && format?.accepts(value) === false) yield invalid(at, value, format.message);
    const key = `${type} ${value}`;
    if (seen.has(key) && (type === "IPAddress" || type === "Hostname")) yield duplicate(at, value);
    seen.add(key);
  }
}

/** Checks a Gateway as the CRD does. */
export function* validateGateway({ spec }: Gateway): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  yield* validateListeners(spec.listeners, path.field("listeners"));
  yield* validateAddresses(spec.addresses ?? [], path.field("addresses"));
  const { labels = {}, annotations = {} } = spec.infrastructure ?? {};
  for (const [name, entries] of Object.entries({ labels, annotations })) {
    const at = path.field("infrastructure", name);
    for (const [key, value] of Object.entries(entries)) {
      const problem = keyProblem(key);
      if (problem !== undefined) yield invalid(at, key, problem);
      const ofValue = name === "labels" ? labelValueProblem(value) : undefined;
      if (ofValue !== undefined) yield invalid(at.key(key), value, ofValue);
    }
  }
  const ports = new Set<number>();
  for (const [index, { port }] of (spec.tls?.frontend?.perPort ?? []).entries()) {
    if (ports.has(port)) yield duplicate(path.field("tls", "frontend", "perPort").item(index).field("port"), port);
    ports.add(port);
  }
}
