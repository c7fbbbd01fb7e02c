import { ApiError } from "./status.ts";

/** A form of answer that a client accepts. */
export interface MediaRange {
  /** Lower case, `type/subtype`; either may be `*`. */
  readonly type: string;
  /** Parameters but `q`, such as Kubernetes' `as`, `g` and `v`. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Reads an `Accept` header, the most wanted first (RFC 9110, 12.5.1). An absent one accepts anything. */
export function parseAccept(header: string | undefined): readonly MediaRange[] {
  const text = header?.trim() ?? "";
  if (text === "") return [{ type: "*/*", parameters: {} }];
  const ranges = text.split(",").map((part) => {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim());
    const entries = parameters.map((parameter): [string, string] => {
      const [name = "", ...value] = parameter.split("=");
      return [name.toLowerCase(), value.join("=").replaceAll('"', "")];
    });
    const { q = "1", ...rest } = Object.fromEntries(entries);
    return { quality: Number.isNaN(Number(q)) ? 0 : Number(q), range: { type: type.toLowerCase(), parameters: rest } };
  });
  return ranges
    .filter(({ quality, range }) => quality > 0 && range.type !== "")
    .toSorted((a, b) => b.quality - a.quality)
    .map(({ range }) => range);
}

/** How an answer is written. */
export type Encoding = "json" | "yaml";

/** The encoding that a range allows, if this server has it. */
export function encodingOf(range: MediaRange): Encoding | undefined {
  switch (range.type) {
    case "application/json":
    case "application/*":
    case "*/*":
      return "json";
    case "application/yaml":
    case "text/yaml":
      return "yaml";
    default:
      return undefined;
  }
}

/** What a client that accepts nothing this server can write is told. */
export function notAcceptable(): ApiError {
  return new ApiError(
    "NotAcceptable",
    "only the following media types are accepted: application/json, application/yaml",
  );
}

/** The encoding of an answer that has one shape only. Undefined: the client accepts none. */
export function plainEncoding(accept: string | undefined): Encoding | undefined {
  for (const range of parseAccept(accept)) {
    const encoding = encodingOf(range);
    if (encoding !== undefined && range.parameters["as"] === undefined) return encoding;
  }
  return undefined;
}

/** The type of a body, without parameters, in lower case; empty where there is none. */
export function contentType(header: string | undefined): string {
  return (header ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}
