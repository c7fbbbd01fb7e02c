import type { IncomingMessage } from "node:http";
import { Lexer, parseDocument } from "yaml";
import { isObject, type JsonObject } from "#api/json.ts";
import { decodeProtobuf } from "./protobuf/decode.ts";
import { WeftError } from "#base/errors.ts";
import { ApiError } from "./status.ts";

/** The largest body that is read, in bytes: Kubernetes' 3 MiB. */
export const maxBodyBytes = 3 * 1024 * 1024;

/** The largest body, in bytes, that begins like JSON, is not, and is read as YAML all the same. */
const mostBracedYaml = 64 * 1024;

/** How deep objects and lists may stand in each other: far more than any kind needs, and what walks them has an end. */
const maxDepth = 1_000;

/**
 * Reads a request's body.
 * @throws ApiError `RequestEntityTooLarge`; WeftError `Cancelled` when the client goes away before its end.
 */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = (): ApiError =>
    new ApiError("RequestEntityTooLarge", `the body of the request is too large: the limit is ${maxBodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBodyBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError || request.complete) throw error;
    throw new WeftError("Cancelled", "the client went away amid its request", error);
  }
  return Buffer.concat(chunks);
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function textOf(body: Buffer): string {
  try {
    return decoder.decode(body);
  } catch {
    throw new ApiError("BadRequest", "the body of the request is not valid UTF-8");
  }
}

function tooDeep(): ApiError {
  return new ApiError("BadRequest", `objects and lists are nested more than ${maxDepth} deep`);
}

/** @throws ApiError `BadRequest` for a value that is nested without reason. */
export function checkDepth(value: unknown): void {
  let level = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) throw tooDeep();
    level = level.flatMap((item) => (typeof item === "object" && item !== null ? Object.values(item) : []));
  }
}

/** Reads a body as JSON. @throws ApiError `BadRequest` that says where it is wrong. */
export function parseJson(body: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(textOf(body));
    checkDepth(value);
    return value;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("BadRequest", `the body of the request is not valid JSON: ${(error as Error).message}`);
  }
}

/** Nested brackets cost YAML's parser seconds before their depth is known. @throws ApiError `BadRequest`. */
function checkBrackets(text: string): void {
  let depth = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth > maxDepth) throw tooDeep();
  }
}

/** Reads a body as one YAML document, of JSON's types only. @throws ApiError `BadRequest`. */
function parseYaml(body: Buffer): unknown {
  const text = textOf(body);
  checkBrackets(text);
  // `core` is YAML 1.2's schema; aliases are bounded so that a small body cannot become a huge object.
  const document = parseDocument(text, { schema: "core", strict: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new ApiError("BadRequest", `the body of the request is not valid YAML: ${problem.message}`);
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    checkDepth(value);
    return value;
  } catch (error) {
    throw new ApiError("BadRequest", `the body of the request is not valid YAML: ${(error as Error).message}`);
  }
}

/**
 * Reads a body of YAML, of which JSON is a part that is read much quicker.
 * @returns the value, and whether it was JSON.
 * @throws ApiError `BadRequest`.
 */
export function parseJsonOrYaml(body: Buffer): { readonly value: unknown; readonly json: boolean } {
  if (!/^\s*\{/.test(body.subarray(0, 64).toString("latin1"))) return { value: parseYaml(body), json: false };
  try {
    return { value: parseJson(body), json: true };
  } catch (error) {
    // It may be YAML that begins like JSON; if not, its own parser says more of what is wrong.
    if (body.length > mostBracedYaml) throw error;
    return { value: parseYaml(body), json: false };
  }
}

/** Bodies of objects, by content type; a body without a type is JSON, as for Kubernetes. */
const parsers: ReadonlyMap<string, (body: Buffer) => unknown> = new Map([
  ["", parseJson],
  ["application/json", parseJson],
  ["application/yaml", parseYaml],
  ["text/yaml", parseYaml],
  ["application/vnd.kubernetes.protobuf", decodeProtobuf],
]);

/** Reads an object out of a body. @throws ApiError `UnsupportedMediaType`, `BadRequest`. */
export function parseObject(body: Buffer, type: string): JsonObject {
  const parse = parsers.get(type);
  if (parse === undefined) {
    throw new ApiError(
      "UnsupportedMediaType",
      `the body of the request was in an unknown format (${type}) - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`,
    );
  }
  if (body.length === 0) throw new ApiError("BadRequest", "the request needs a body");
  const value = parse(body);
  if (!isObject(value)) throw new ApiError("BadRequest", "the body of the request is not an object");
  return value;
}
