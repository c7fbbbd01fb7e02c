import type { IncomingMessage } from "node:http";
import { parseDocument } from "yaml";
import { decodeProtobuf } from "./protobuf/decode.ts";
import { ApiError } from "./status.ts";

/** The largest body that is read, in bytes: Kubernetes' 3 MiB. */
const maxBodyBytes = 3 * 1024 * 1024;

/** Reads a request's body. @throws ApiError `RequestEntityTooLarge`. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = (): ApiError =>
    new ApiError("RequestEntityTooLarge", `the body of the request is too large: the limit is ${maxBodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A JSON object that nothing is known of. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function textOf(body: Buffer): string {
  try {
    return decoder.decode(body);
  } catch {
    throw new ApiError("BadRequest", "the body of the request is not valid UTF-8");
  }
}

/** Reads a body as JSON. @throws ApiError `BadRequest` that says where it is wrong. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(textOf(body));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("BadRequest", `the body of the request is not valid JSON: ${(error as Error).message}`);
  }
}

/** Reads a body as one YAML document, of JSON's types only. @throws ApiError `BadRequest`. */
function parseYaml(body: Buffer): unknown {
  // `core` is YAML 1.2's schema; aliases are bounded so that a small body cannot become a huge object.
  const document = parseDocument(textOf(body), { schema: "core", strict: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new ApiError("BadRequest", `the body of the request is not valid YAML: ${problem.message}`);
  }
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new ApiError("BadRequest", `the body of the request is not valid YAML: ${(error as Error).message}`);
  }
}

/** Bodies of objects, by content type; a body without a type is JSON, as for Kubernetes. */
const parsers: Readonly<Record<string, (body: Buffer) => unknown>> = {
  "": parseJson,
  "application/json": parseJson,
  "application/yaml": parseYaml,
  "text/yaml": parseYaml,
  "application/vnd.kubernetes.protobuf": decodeProtobuf,
};

/** Reads an object out of a body. @throws ApiError `UnsupportedMediaType`, `BadRequest`. */
export function parseObject(body: Buffer, type: string): JsonObject {
  const parse = parsers[type];
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
