import type { ResourceObject } from "#api/meta.ts";
import { codeOf } from "#base/errors.ts";
import { checkOf } from "../authorization/attributes.ts";
import { isObject } from "#api/json.ts";
import { parseJsonOrYaml, readBody } from "../body.ts";
import { contentType } from "../media.ts";
import { parseApplyOptions } from "../options.ts";
import { createApplied } from "../registry/create.ts";
import { configurationOf, type Configuration, type Part } from "../registry/owners.ts";
import type { Target, WriteOptions } from "../registry/target.ts";
import { update } from "../registry/update.ts";
import type { Reply } from "../reply.ts";
import { ApiError, conflict } from "../status.ts";
import type { Call } from "./call.ts";
import { objectReply, reportDuplicates } from "./objects.ts";

/** How often it is tried again when an object comes and goes meanwhile. */
const attempts = 5;

/** Whether a request applies a configuration. */
export function isApply({ method, request }: Call): boolean {
  return method === "PATCH" && contentType(request.headers["content-type"]) === "application/apply-patch+yaml";
}

/** What a request applies, and how. @throws ApiError `BadRequest`, `Invalid`. */
export async function readConfiguration(
  call: Call,
  target: Target,
): Promise<{ readonly configuration: Configuration; readonly options: WriteOptions }> {
  const { options, force } = parseApplyOptions(call);
  const body = await readBody(call.request);
  const { value, json } = parseJsonOrYaml(body);
  if (!isObject(value)) throw new ApiError("BadRequest", "the applied configuration is not an object");
  if (json) reportDuplicates(target, "json", body, options);
  return { configuration: configurationOf(value, force), options };
}

/** Who applies what is not there makes it, and must be allowed to. */
async function requireCreate({ context, by }: Call, { kind, namespace = "" }: Target, name: string): Promise<void> {
  const { group, plural } = kind;
  const { authorizer } = context.member ?? context.access ?? {};
  await authorizer?.require(by.user, checkOf({ verb: "create", group, resource: plural, namespace, name }));
}

async function applyOnce(
  call: Call,
  target: Target,
  name: string,
  part: Part,
  { configuration, options }: Awaited<ReturnType<typeof readConfiguration>>,
): Promise<{ readonly object: ResourceObject; readonly code: number } | undefined> {
  try {
    return { object: await update(call.context, { target, name, part, configuration }, options), code: 200 };
  } catch (error) {
    if (codeOf(error) !== "NotFound" || options.subresource !== undefined) throw error;
  }
  await requireCreate(call, target, name);
  try {
    return { object: await createApplied(call.context, target, name, configuration, options), code: 201 };
  } catch (error) {
    if (codeOf(error) === "AlreadyExists") return undefined;
    throw error;
  }
}

/** PATCH of an object, or of its status, with a configuration to apply: Kubernetes' server-side apply. */
export async function handleApply(call: Call, target: Target, name: string, part: Part): Promise<Reply> {
  const read = await readConfiguration(call, target);
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const done = await applyOnce(call, target, name, part, read);
    if (done !== undefined) return objectReply(call, target, done.object, done.code);
  }
  throw conflict(target.kind, name);
}
