import type { Paint } from "./patch-text.ts";

function coloured(code: number): (line: string) => string {
  return (line) => `\u001B[${code}m${line}\u001B[0m`;
}

/** Colours on a terminal (unless `NO_COLOR` asks for none), plain text elsewhere. */
export function paintFor(stream: { readonly isTTY?: boolean }): Paint {
  const noColor = process.env["NO_COLOR"] ?? "";
  if (stream.isTTY !== true || noColor !== "") return { removed: String, added: String, place: String };
  return { removed: coloured(31), added: coloured(32), place: coloured(36) };
}
