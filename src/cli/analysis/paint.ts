import type { Level } from "#api/message-types.ts";
import type { Paint } from "./patch-text.ts";

function coloured(code: number | string): (line: string) => string {
  return (line) => `\u001B[${code}m${line}\u001B[0m`;
}

interface Stream {
  readonly isTTY?: boolean;
}

/** Colours are for terminals, unless `NO_COLOR` asks for none. */
function isPlain({ isTTY }: Stream): boolean {
  return isTTY !== true || (process.env["NO_COLOR"] ?? "") !== "";
}

/** Colours for what changes on a terminal, plain text elsewhere. */
export function paintFor(stream: Stream): Paint {
  if (isPlain(stream)) return { removed: String, added: String, place: String };
  return { removed: coloured(31), added: coloured(32), place: coloured(36) };
}

/** Colours for levels on a terminal, as istioctl has them; plain text elsewhere. */
export function paintLevel(stream: Stream): (level: Level) => string {
  if (isPlain(stream)) return String;
  const paints: Readonly<Record<Level, (text: string) => string>> = {
    Error: coloured("1;31"),
    Warning: coloured(33),
    Info: String,
  };
  return (level) => paints[level](level);
}
