import type { StringMap } from "#api/meta.ts";
import { ApiError } from "../status.ts";

/** One condition on an object's labels. */
type Requirement = (labels: StringMap) => boolean;

const tokens = /==|!=|[=!,()<>]|[^\s=!,()<>]+/g;

const word = /^[^\s=!,()<>]+$/;
const keyPattern = /^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** Reads Kubernetes' label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`. */
class Parser {
  readonly #text: string;
  readonly #tokens: string[];

  constructor(text: string) {
    this.#text = text;
    this.#tokens = text.match(tokens) ?? [];
  }

  parse(): readonly Requirement[] {
    const requirements: Requirement[] = [];
    if (this.#tokens.length === 0) return requirements;
    for (;;) {
      requirements.push(this.#requirement());
      if (this.#tokens.length === 0) return requirements;
      this.#expect(",");
    }
  }

  #requirement(): Requirement {
    if (this.#tokens[0] === "!") {
      this.#tokens.shift();
      const key = this.#key();
      return (labels) => !Object.hasOwn(labels, key);
    }
    const key = this.#key();
    const has = (labels: StringMap, test: (value: string) => boolean): boolean =>
      Object.hasOwn(labels, key) && test(labels[key] ?? "");
    const operator = this.#tokens[0];
    if (operator === undefined || operator === ",") return (labels) => Object.hasOwn(labels, key);
    this.#tokens.shift();
    switch (operator) {
      case "=":
      case "==": {
        const wanted = this.#value();
        return (labels) => has(labels, (value) => value === wanted);
      }
      case "!=": {
        const unwanted = this.#value();
        return (labels) => !has(labels, (value) => value === unwanted);
      }
      case "in":
      case "notin": {
        const values = this.#values();
        const member: Requirement = (labels) => has(labels, (value) => values.has(value));
        return operator === "in" ? member : (labels) => !member(labels);
      }
      case "<":
      case ">": {
        const bound = this.#number();
        return (labels) => has(labels, (value) => (operator === "<" ? Number(value) < bound : Number(value) > bound));
      }
      default:
        throw this.#wrong(`found '${operator}', expected one of: =, ==, !=, in, notin, >, <`);
    }
  }

  #key(): string {
    const key = this.#tokens.shift() ?? "";
    if (!word.test(key)) throw this.#wrong(`found '${key}', expected a label`);
    if (!keyPattern.test(key)) throw this.#wrong(`'${key}' is no label name`);
    return key;
  }

  #value(): string {
    const next = this.#tokens[0];
    if (next === undefined || next === ",") return "";
    this.#tokens.shift();
    if (!word.test(next) || !valuePattern.test(next)) throw this.#wrong(`'${next}' is no label value`);
    return next;
  }

  #number(): number {
    const text = this.#value();
    if (!/^-?\d+$/.test(text)) throw this.#wrong(`'${text}' is no whole number`);
    return Number(text);
  }

  #values(): ReadonlySet<string> {
    this.#expect("(");
    const values = new Set<string>();
    for (;;) {
      const next = this.#tokens[0];
      values.add(next === ")" || next === "," ? "" : this.#value());
      if (this.#tokens[0] === ")") break;
      this.#expect(",");
    }
    this.#tokens.shift();
    return values;
  }

  #expect(token: string): void {
    const found = this.#tokens.shift();
    if (found !== token) throw this.#wrong(`found '${found ?? ""}', expected '${token}'`);
  }

  #wrong(problem: string): ApiError {
    return new ApiError("BadRequest", `unable to parse the label selector "${this.#text}": ${problem}`);
  }
}

/** What a label selector means; an empty one selects everything. @throws ApiError `BadRequest`. */
export function parseLabelSelector(text: string): (labels: StringMap | undefined) => boolean {
  const requirements = new Parser(text).parse();
  return (labels = {}) => requirements.every((requirement) => requirement(labels));
}
