import type { EncodedResource } from "#proto/encoded.ts";
import type { Past } from "./shown.ts";

/** A version of a resource that the client refused. */
export interface Refusal {
  readonly version: string;
  readonly message: string;
  /** Whether the client named it, or it stood alone; else it is only suspected. */
  readonly certain: boolean;
  /** What the client goes on serving. */
  readonly lastGood: Past | undefined;
}

const partOfName = /[\w.|/-]/;

/** Whether a name stands in a text on its own, not inside a longer one. */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const before = text[at - 1] ?? " ";
    const after = text[at + name.length] ?? " ";
    if (!partOfName.test(before) && !(partOfName.test(after) && after !== ".")) return true;
  }
  return false;
}

/**
 * The resources that a refusal names. Envoy writes `Error adding/updating cluster(s) A: why, B: why` and the like for
 * listeners, and quotes the message for one that breaks a constraint; other refusals name nothing.
 */
export function blamed(message: string, names: readonly string[]): readonly string[] {
  const words = wordsOf(message);
  return names.filter((name) => name !== "" && words.has(firstWord(name)) && mentions(message, name));
}

/** What of a name stands before the first character that no other part of a name could follow. */
function firstWord(name: string): string {
  return /^[\w.|/-]*/.exec(name)?.[0] ?? "";
}

/** Dots of a word at which it may end: names have few. */
const mostDots = 64;

/**
 * The words with which a name could begin. Looked up in them, a thousand names cost little, whatever the text is made of.
 */
function wordsOf(text: string): ReadonlySet<string> {
  const words = new Set([""]);
  for (const [word] of text.matchAll(/[\w.|/-]+/g)) {
    words.add(word);
    let dots = 0;
    for (let dot = word.indexOf("."); dot >= 0 && dots < mostDots; dot = word.indexOf(".", dot + 1)) {
      words.add(word.slice(0, dot));
      dots += 1;
    }
  }
  return words;
}

/** Halves a list of suspects, so that those without guilt still reach the client. */
export function halves(names: readonly string[]): readonly (readonly string[])[] {
  const middle = Math.ceil(names.length / 2);
  return [names.slice(0, middle), names.slice(middle)].filter((half) => half.length > 0);
}

/** Refusals after which the search for the guilty ends: what is still suspected then waits for its next change. */
const mostTrials = 128;

/** What one client refuses of one type, and the search for the guilty where it did not say. */
export class Refusals {
  readonly #standing = new Map<string, Refusal>();
  readonly #groups: (readonly string[])[] = [];
  #trials = 0;

  /** Names refused, in the order of refusal. */
  get names(): readonly string[] {
    return [...this.#standing.keys()];
  }

  get size(): number {
    return this.#standing.size;
  }

  /** Text of the last refusal that stands. */
  get message(): string {
    return [...this.#standing.values()].at(-1)?.message ?? "";
  }

  /** The refusal that stands against a resource in this very version. */
  against(resource: EncodedResource): Refusal | undefined {
    const refusal = this.#standing.get(resource.name);
    return refusal?.version === resource.version ? refusal : undefined;
  }

  /** What the client holds of a name instead of what it was sent: that, or the last before it that it took. */
  takenOf(name: string, sent: Past): Past | undefined {
    const refusal = this.#standing.get(name);
    return refusal?.version === sent.version ? refusal.lastGood : sent;
  }

  /** Whether the client never took any version of a name, for certain or as far as one may suspect. */
  neverTaken(name: string, sent: Past, forCertain: boolean): boolean {
    const refusal = this.#standing.get(name);
    if (refusal?.version !== sent.version || refusal.lastGood !== undefined) return false;
    return refusal.certain || !forCertain;
  }

  /** The client took these, or has no more use for them. */
  clear(names: Iterable<string>): void {
    if (this.#standing.size === 0) return;
    for (const name of names) this.#standing.delete(name);
    if (this.#standing.size === 0) this.#trials = 0;
  }

  /**
   * The client refused a response.
   * @param sent what it held.
   * @param lastGood what the client had before of a name.
   */
  record(message: string, sent: readonly EncodedResource[], lastGood: (name: string) => Past | undefined): void {
    const names = sent.map((resource) => resource.name);
    const guilty = new Set(blamed(message, names));
    for (const { name, version } of sent) {
      const before = this.#standing.get(name);
      const good = before ? before.lastGood : lastGood(name);
      const certain = names.length === 1 || guilty.has(name);
      this.#standing.set(name, { version, message, certain, lastGood: good });
    }
    if (names.length < 2 || this.#trials >= mostTrials) return;
    // Envoy applies nothing of a response that it cannot decode: the innocent go out again, without the guilty.
    const innocent = names.filter((name) => !guilty.has(name));
    const groups = guilty.size === 0 ? halves(names) : [innocent].filter((group) => group.length > 0);
    this.#groups.push(...groups);
    this.#trials += groups.length;
  }

  /** Names to try again, apart from others that are suspected. */
  nextTrial(): readonly string[] | undefined {
    return this.#groups.shift();
  }

  get trying(): boolean {
    return this.#groups.length > 0;
  }
}
