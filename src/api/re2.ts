/** Longest regular expression that Istio takes, in characters. */
const lengthLimit = 1024;

/** Largest count of a repetition, as in RE2. */
const countLimit = 1000;

const posixClasses = new Set(
  "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split(" "),
);

/** What is wrong with an expression; never leaves this file. */
class SyntaxProblem extends Error {}

/** Reads an expression of RE2 from its beginning to its end, only to find what RE2 does not take. */
class Reader {
  readonly #text: string;
  readonly #names = new Set<string>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads the whole expression. */
  read(): void {
    this.#alternatives();
    if (this.#at < this.#text.length) throw new SyntaxProblem("unexpected )");
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found !== undefined) this.#at += found[0].length;
    return found;
  }

  #alternatives(): void {
    do this.#sequence();
    while (this.#take(/\|/y) !== undefined);
  }

  #sequence(): void {
    let before: "nothing" | "atom" | "repetition" = "nothing";
    while (this.#at < this.#text.length && !this.#ends()) {
      const operator = this.#repetition();
      if (operator === undefined) {
        this.#atom();
        before = "atom";
      } else if (before === "nothing") {
        throw new SyntaxProblem(`missing argument to repetition operator: ${operator}`);
      } else if (before === "repetition") {
        throw new SyntaxProblem(`invalid nested repetition operator: ${operator}`);
      } else before = "repetition";
    }
  }

  #ends(): boolean {
    const next = this.#text[this.#at];
    return next === "|" || next === ")";
  }

  /** A repetition, if one stands here; braces that are none stand for themselves. */
  #repetition(): string | undefined {
    const simple = this.#take(/[*+?]\??/y);
    if (simple !== undefined) return simple[0];
    const counted = this.#take(/\{(\d+)(?:(,)(\d+)?)?\}\??/y);
    if (counted === undefined) return undefined;
    const [text, from = "", comma, to] = counted;
    const least = Number(from);
    const most = comma === undefined ? least : Number(to ?? least);
    if (least > countLimit || most > countLimit || least > most) {
      throw new SyntaxProblem(`invalid repeat count: ${text}`);
    }
    return text;
  }

  #atom(): void {
    if (this.#take(/\(/y) !== undefined) this.#group();
    else if (this.#take(/\[/y) !== undefined) this.#class();
    else if (this.#text[this.#at] === "\\") this.#escape(false);
    else this.#take(/[^]/uy);
  }

  #group(): void {
    if (this.#text[this.#at] === "?") {
      const named = this.#take(/\?P?<(\w+)>/y);
      const name = named?.[1];
      if (name !== undefined) {
        if (this.#names.has(name)) throw new SyntaxProblem(`duplicate capture group name: ${name}`);
        this.#names.add(name);
      } else if (this.#take(/\?(?:[imsU]+(?:-[imsU]+)?|-[imsU]+)?:/y) === undefined) {
        // Flags for the rest of the group: `(?i)`.
        if (this.#take(/\?(?:[imsU]+(?:-[imsU]+)?|-[imsU]+)\)/y) !== undefined) return;
        const begin = this.#text.slice(this.#at - 1, this.#at + 3);
        throw new SyntaxProblem(`invalid or unsupported Perl syntax: ${begin}`);
      }
    }
    this.#alternatives();
    if (this.#take(/\)/y) === undefined) throw new SyntaxProblem("missing closing )");
  }

  #class(): void {
    this.#take(/\^/y);
    for (let first = true; ; first = false) {
      if (this.#at >= this.#text.length) throw new SyntaxProblem("missing closing ]");
      if (!first && this.#take(/\]/y) !== undefined) return;
      this.#classItem();
    }
  }

  #classItem(): void {
    const posix = this.#take(/\[:\^?(\w*):\]/y);
    if (posix !== undefined) {
      if (!posixClasses.has(posix[1] ?? "")) throw new SyntaxProblem(`invalid character class range: ${posix[0]}`);
      return;
    }
    const start = this.#at;
    const low = this.#classCharacter();
    if (low === undefined || this.#take(/-(?!\])/y) === undefined) return;
    const high = this.#classCharacter();
    if (high === undefined || high < low) {
      throw new SyntaxProblem(`invalid character class range: ${this.#text.slice(start, this.#at)}`);
    }
  }

  /** A character's number, or undefined where an escape stands for several. */
  #classCharacter(): number | undefined {
    if (this.#text[this.#at] === "\\") return this.#escape(true);
    return this.#take(/[^]/uy)?.[0].codePointAt(0);
  }

  #escape(inClass: boolean): number | undefined {
    if (this.#take(/\\[dDsSwW]/y) !== undefined) return undefined;
    if (!inClass && this.#take(/\\(?:[AbBz]|Q[^]*?(?:\\E|$))/y) !== undefined) return undefined;
    const property = this.#take(/\\[pP](?:\{\^?(\w+)\}|(\w))/y);
    if (property !== undefined) {
      const name = property[1] ?? property[2] ?? "";
      if (!isUnicodeClass(name)) throw new SyntaxProblem(`invalid character class range: ${property[0]}`);
      return undefined;
    }
    return this.#escapedCharacter();
  }

  #escapedCharacter(): number {
    const start = this.#at;
    const octal = this.#take(/\\(0[0-7]{0,2}|[1-7][0-7]{1,2})/y)?.[1];
    if (octal !== undefined) return Number.parseInt(octal, 8);
    const hex = this.#take(/\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})/y);
    const digits = hex?.[1] ?? hex?.[2];
    if (digits !== undefined && Number.parseInt(digits, 16) <= 0x10_ff_ff) return Number.parseInt(digits, 16);
    const control = this.#take(/\\([afnrtv])/y)?.[1];
    if (control !== undefined) return "\u0007\f\n\r\t\v".codePointAt("afnrtv".indexOf(control)) ?? 0;
    const literal = this.#take(/\\([!-/:-@[-`{-~ ])/y)?.[1];
    if (literal !== undefined) return literal.codePointAt(0) ?? 0;
    const rest = this.#text.slice(start, start + 2);
    throw new SyntaxProblem(
      rest === "\\" ? "trailing backslash at end of expression" : `invalid escape sequence: ${rest}`,
    );
  }
}

/** Whether `\p{name}` is known: a general category or a script, of which JavaScript has the same. */
function isUnicodeClass(name: string): boolean {
  if (name === "Any") return true;
  return [`\\p{gc=${name}}`, `\\p{sc=${name}}`].some((pattern) => {
    try {
      return new RegExp(pattern, "u") instanceof RegExp;
    } catch {
      return false;
    }
  });
}

/**
 * Says why Istio would not take a text as a regular expression in RE2's syntax; undefined where it would. JavaScript's
 * own expressions differ too much to be asked: they know back references and looking around, which RE2 does not.
 */
export function expressionProblem(text: string): string | undefined {
  if (text === "") return "must not be empty";
  if (text.length > lengthLimit) return `must have ${lengthLimit} characters or fewer`;
  try {
    new Reader(text).read();
    return undefined;
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    return `must be a regular expression of RE2: ${error.message}`;
  }
}
