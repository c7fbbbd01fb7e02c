import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** `resource_names_subscribe` of `DeltaDiscoveryRequest`, `resource_names` of `DiscoveryRequest`. */
const namesField = 3;

/** Bytes of a request below which it is not worth to look for a list that is known. */
const worthwhile = 2048;

/** Bytes that a name costs beside those of the list: as a string, in the list, and in the set that is made of it. */
const bytesOfName = 72;

interface KnownList {
  readonly bytes: Uint8Array;
  readonly names: readonly string[];
}

function costOf({ bytes, names }: KnownList): number {
  return bytes.length + bytesOfName * names.length;
}

/** A request's long list of names, and the request without it. */
interface Taken {
  readonly rest: Uint8Array;
  readonly names: readonly string[];
}

function stringsIn(fields: Uint8Array): readonly string[] {
  const reader = new BinaryReader(fields);
  const names: string[] = [];
  while (reader.pos < reader.len) {
    reader.tag();
    names.push(reader.string());
  }
  return names;
}

/** Where the first names of a message that stand one behind the other begin and end. */
function runOfNames(message: Uint8Array): readonly [start: number, end: number] {
  const reader = new BinaryReader(message);
  let start = 0;
  let end = 0;
  while (reader.pos < reader.len) {
    const at = reader.pos;
    const [field, wire] = reader.tag();
    reader.skip(wire);
    if (field === namesField && wire === WireType.LengthDelimited) {
      if (end === 0) start = at;
      end = reader.pos;
    } else if (end > 0) break;
  }
  return [start, end];
}

/**
 * Long lists of names as proxies send them. Those of one namespace ask for the same thousand endpoints in the same
 * order: what was read once is told by its bytes, and is one list in memory.
 */
export class NameLists {
  readonly #most: number;
  /** The latest first. */
  #known: readonly KnownList[] = [];
  #cost = 0;

  /** @param most bytes that what is remembered may cost. */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Takes the list out of a request of either variant; undefined for one that has no long list.
   * @throws Error when the bytes are no message.
   */
  take(request: Uint8Array): Taken | undefined {
    if (request.length < worthwhile) return undefined;
    const [start, end] = runOfNames(request);
    if (end - start < worthwhile) return undefined;
    const rest = Buffer.concat([request.subarray(0, start), request.subarray(end)]);
    return { rest, names: this.#names(request.subarray(start, end)) };
  }

  #names(bytes: Uint8Array): readonly string[] {
    const known = this.#known.find(
      (each) => each.bytes.length === bytes.length && Buffer.compare(each.bytes, bytes) === 0,
    );
    if (known) {
      if (known !== this.#known[0]) this.#known = [known, ...this.#known.filter((each) => each !== known)];
      return known.names;
    }
    const names = stringsIn(bytes);
    // The request's bytes are only lent; what is too much to remember is not copied.
    if (costOf({ bytes, names }) <= this.#most) this.#remember({ bytes: Uint8Array.from(bytes), names });
    return names;
  }

  #remember(list: KnownList): void {
    const kept = [list, ...this.#known];
    this.#cost += costOf(list);
    while (this.#cost > this.#most) {
      const oldest = kept.pop();
      if (!oldest) break;
      this.#cost -= costOf(oldest);
    }
    this.#known = kept;
  }
}
