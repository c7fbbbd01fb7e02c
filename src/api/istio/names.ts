import { isIP } from "node:net";
import type { FieldError } from "../kind.ts";
import type { StringMap } from "../meta.ts";
import { duplicate, type FieldPath, invalid, notSupported } from "../field.ts";
import { keyProblem } from "../metadata.ts";
import { protocolNames, protocolOf } from "./protocol.ts";

/** What checks tell: errors, one by one. */
export type Errors = Generator<FieldError, void>;

const label = /^[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?$/;
const wildcardLabel = /^(?:\*|(?:\*-?)?[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?)$/;
const labelValue = /^(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** What a Unix socket's address begins with. */
export const unixPrefix = "unix://";

/** What a label of a DNS name is, for people. */
export const labelMessage =
  "must be letters, digits and '-', with a letter or digit at both ends, at most 63 characters";

/** Whether a text is one label of a DNS name. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && label.test(text);
}

function labelsProblem(name: string): string | undefined {
  const labels = name.split(".");
  const last = labels.at(-1) ?? "";
  if (/^[-+]?\d+$/.test(last)) return `the last part of a DNS name, ${last}, must not be a number`;
  // A point at the end makes a name absolute.
  const named = last === "" ? labels.slice(0, -1) : labels;
  const wrong = named.find((one) => !isDnsLabel(one));
  return wrong === undefined ? undefined : `must be a DNS name, and its part ${JSON.stringify(wrong)} cannot be`;
}

function lengthProblem(name: string): string | undefined {
  if (name === "") return "must not be empty";
  return name.length > 255 ? "must be a DNS name of 255 characters or fewer" : undefined;
}

/** Says why a text is no full DNS name. */
export function domainProblem(name: string): string | undefined {
  return lengthProblem(name) ?? labelsProblem(name);
}

/** Says why a text is no DNS name, whose first label may be a wildcard or begin with one. */
export function wildcardDomainProblem(name: string): string | undefined {
  const problem = lengthProblem(name);
  if (problem !== undefined) return problem;
  const [first = "", ...rest] = name.split(".");
  if (first.length > 63 || !wildcardLabel.test(first)) {
    return `must be a DNS name, and its part ${JSON.stringify(first)} cannot be`;
  }
  return rest.length === 0 ? undefined : labelsProblem(rest.join("."));
}

/** Whether a text is an IP address. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0;
}

/** Says why a text is neither an IP address nor a network in CIDR form. */
export function subnetProblem(text: string): string | undefined {
  const [address = "", bits, ...more] = text.split("/");
  const family = address.includes("%") ? 0 : isIP(address);
  const isNetwork = /^(?:0|[1-9]\d*)$/.test(bits ?? "") && Number(bits) <= (family === 4 ? 32 : 128);
  const fine = bits === undefined ? isAddress(text) : more.length === 0 && family !== 0 && isNetwork;
  return fine ? undefined : "must be an IP address or a network in CIDR form, such as 10.0.0.0/8";
}

/** Says why a text, without its prefix, is no address of a Unix socket. */
export function unixProblem(path: string): string | undefined {
  if (path.startsWith("@")) return undefined;
  return path.startsWith("/") && !path.endsWith("/")
    ? undefined
    : "must be unix:// and an absolute path of a file, or @ and a name";
}

/** Checks a port number where one is set. */
export function* validatePort(number: number, path: FieldPath): Errors {
  if (number < 1 || number > 65_535) yield invalid(path, number, "must be between 1 and 65535");
}

/** Checks a port's name. */
export function* validatePortName(name: string, path: FieldPath): Errors {
  if (!isDnsLabel(name)) yield invalid(path, name, labelMessage);
}

/** Checks a port's protocol, which may be absent. */
export function* validateProtocol(protocol: string | undefined, path: FieldPath): Errors {
  if (protocol && protocolOf(protocol) === undefined) yield notSupported(path, protocol, protocolNames);
}

/** Checks labels that select workloads or belong to some. */
export function* validateTags(labels: StringMap | undefined, path: FieldPath): Errors {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const problem = keyProblem(key.toLowerCase());
    if (problem !== undefined) yield invalid(path, key, problem);
    if (!labelValue.test(value)) {
      yield invalid(
        path.key(key),
        value,
        "must be letters, digits, '-', '_' and '.', with a letter or digit at both ends",
      );
    }
  }
}

/** Checks the labels of a workload selector, in which wildcards are refused rather than misunderstood. */
export function* validateSelector(labels: StringMap | undefined, path: FieldPath): Errors {
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (key === "") yield invalid(path, key, "a label's name must not be empty");
    if (key.includes("*") || value.includes("*")) yield invalid(path.key(key), value, "wildcards are not supported");
  }
}

/** Checks names of gateways as VirtualServices refer to them. */
export function* validateGatewayNames(names: readonly string[] | undefined, path: FieldPath): Errors {
  for (const [index, text] of (names ?? []).entries()) {
    const at = path.item(index);
    const slash = text.indexOf("/");
    if (slash < 0) {
      const problem = domainProblem(text);
      if (problem !== undefined) yield invalid(at, text, problem);
    } else if (!isDnsLabel(text.slice(0, slash)) || !isDnsLabel(text.slice(slash + 1))) {
      yield invalid(at, text, "must be namespace/name, each of letters, digits and '-'");
    }
  }
}

/** How `exportTo` is read where it means more than in most kinds. */
interface ExportOptions {
  /** `~` may be used: nobody sees the object. */
  readonly nobody?: boolean;
  /** Only the object's own namespace may see it. */
  readonly ownOnly?: boolean;
}

/** Checks a list of namespaces to which an object is shown. */
export function* validateExportTo(
  exportTo: readonly string[] | undefined,
  namespace: string | undefined,
  path: FieldPath,
  options: ExportOptions = {},
): Errors {
  const seen = new Set<string>();
  const list = exportTo ?? [];
  for (const [index, text] of list.entries()) {
    const at = path.item(index);
    const meant = text === "." ? (namespace ?? text) : text;
    if (seen.has(meant)) yield duplicate(at, text);
    seen.add(meant);
    if (meant === "*" || meant === "." || (meant === "~" && options.nobody)) {
      if (meant !== "." && list.length > 1) yield invalid(at, text, "must be the only entry");
    } else if (!isDnsLabel(meant))
      yield invalid(at, text, "must be a namespace, '.' for the object's own, or '*' for all");
  }
  if (options.ownOnly && list.length > 0 && (seen.size > 1 || !seen.has(namespace ?? "."))) {
    yield invalid(path, list, "must be the object's own namespace alone where workloadSelector is set");
  }
}
