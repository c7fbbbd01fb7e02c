/** More duplicates than these are not told. */
const maxTold = 100;

/** An object or a list that is being read. */
interface Frame {
  /** The members of an object so far; a list has none. */
  readonly names: Set<string> | undefined;
  /** The member or item that is being read. */
  at: string | number;
}

/** The place of the quotation mark that ends the text which begins at `start`. */
function endOfText(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); ; end = json.indexOf('"', end + 1)) {
    let escapes = 0;
    while (json[end - 1 - escapes] === "\\") escapes += 1;
    if (escapes % 2 === 0) return end;
  }
}

function pathOf(frames: readonly Frame[]): string {
  return frames
    .map(({ names, at }) => (names === undefined ? `[${at}]` : `.${at}`))
    .join("")
    .slice(1);
}

/**
 * Paths of the members that stand twice in an object: of their values only the last counts, which may not be the one
 * that was meant.
 * @param json text that is known to be JSON.
 */
export function duplicateFields(json: string): readonly string[] {
  const found = new Set<string>();
  const frames: Frame[] = [];
  let text = "";
  for (let place = 0; place < json.length && found.size < maxTold; place += 1) {
    const frame = frames.at(-1);
    switch (json.charAt(place)) {
      case '"': {
        const end = endOfText(json, place);
        text = json.slice(place, end + 1);
        place = end;
        break;
      }
      case ":":
        if (frame?.names === undefined) break;
        frame.at = JSON.parse(text) as string;
        if (frame.names.has(frame.at)) found.add(pathOf(frames));
        frame.names.add(frame.at);
        break;
      case "{":
        frames.push({ names: new Set(), at: "" });
        break;
      case "[":
        frames.push({ names: undefined, at: 0 });
        break;
      case ",":
        if (frame?.names === undefined && frame !== undefined) frame.at = Number(frame.at) + 1;
        break;
      case "}":
      case "]":
        frames.pop();
        break;
      default:
    }
  }
  return [...found];
}
