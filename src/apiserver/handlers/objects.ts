import type { ResourceObject } from "#api/meta.ts";
import { contentType } from "../media.ts";
import { type JsonObject } from "#api/json.ts";
import { parseObject, readBody } from "../body.ts";
import { duplicateFields } from "../duplicates.ts";
import { parseDeleteOptions, parseWriteOptions } from "../options.ts";
import { forgetsOwners } from "../members/collected.ts";
import { leavesBehind } from "../members/view.ts";
import { asSeen } from "../origins/owners.ts";
import { renderList, renderObject, type ListMeta, type View } from "../output/render.ts";
import { parseShape, type Shape } from "../output/shape.ts";
import { parseInclude } from "../output/table.ts";
import { parsePatch } from "../patch/patch.ts";
import { reportFields } from "../registry/checked.ts";
import { create } from "../registry/create.ts";
import { remove, type Deletion } from "../registry/delete.ts";
import { list } from "../registry/list.ts";
import type { Target, WriteOptions } from "../registry/target.ts";
import type { Part } from "../registry/owners.ts";
import { getStored, update } from "../registry/update.ts";
import { parseWatchOptions, watch } from "../registry/watch.ts";
import type { Body, Reply } from "../reply.ts";
import { parseSelector } from "../selectors/selector.ts";
import { codeOf } from "#base/errors.ts";
import { notReached, parseRevision } from "../registry/resource-version.ts";
import { success } from "../status.ts";
import type { Call } from "./call.ts";

function viewOf(call: Call, target: Target, shape: Shape): View {
  const { kind, version } = target;
  const { context, query } = call;
  const seen = (object: ResourceObject): ResourceObject => asSeen(object, context);
  return { kind, version, shape, include: parseInclude(query), now: context.clock.now(), seen };
}

/** One object, in the shape that the client wants. */
export function objectReply(call: Call, target: Target, object: ResourceObject, code = 200): Reply {
  const shape = parseShape(call.request.headers.accept, false);
  return { kind: "value", code, body: renderObject(viewOf(call, target, shape), object), encoding: shape.encoding };
}

/** @throws ApiError `Timeout` when the state is older than the client wants it. */
async function expectReached(call: Call, wanted: number): Promise<void> {
  const newest = await call.context.store.revision();
  if (wanted > newest) throw notReached(wanted, newest);
}

/** GET of one object. */
export async function handleGet(call: Call, target: Target, name: string): Promise<Reply> {
  await expectReached(call, parseRevision(call.query.get("resourceVersion") ?? ""));
  return objectReply(call, target, (await getStored(call.context, target, name)).object);
}

/** A list of nothing, as of the revision of another. */
function emptyList(call: Call, target: Target, shape: Shape, { resourceVersion }: ListMeta): Body {
  return renderList(viewOf(call, target, shape), [], { resourceVersion });
}

/** GET of a collection. */
export async function handleList(call: Call, target: Target): Promise<Reply> {
  const shape = parseShape(call.request.headers.accept, true);
  const selector = parseSelector(target.kind, target.version, call.query);
  const { objects, metadata } = await list(call.context, target, selector, call.query);
  const body =
    call.blind || (await leavesBehind(call.context, target, false))
      ? emptyList(call, target, shape, metadata)
      : renderList(viewOf(call, target, shape), objects, metadata);
  return { kind: "value", code: 200, body, encoding: shape.encoding };
}

/** GET with `watch=true`, of a collection or of one object. */
export async function handleWatch(call: Call, target: Target, name: string | undefined): Promise<Reply> {
  const shape = parseShape(call.request.headers.accept, false);
  const selector = parseSelector(target.kind, target.version, call.query, name);
  const options = parseWatchOptions(call.query);
  if (options.initial) await expectReached(call, options.after);
  const signal = AbortSignal.any([call.gone, call.draining]);
  const view = (): View => viewOf(call, target, shape);
  return {
    kind: "stream",
    type: "application/json",
    chunks: watch(call.context, target, selector, options, view, signal),
  };
}

/** POST to a collection. */
export async function handleCreate(call: Call, target: Target): Promise<Reply> {
  const options = parseWriteOptions(call);
  const { type, body } = await readTyped(call);
  const object = parseObject(body, type);
  reportDuplicates(target, type, body, options);
  return objectReply(call, target, await create(call.context, target, object, options), 201);
}

/** A change of one object, or of its status, by PUT or PATCH. */
export async function handleChange(
  call: Call,
  target: Target,
  name: string,
  part: Part = "specification",
): Promise<Reply> {
  const options = parseWriteOptions(call);
  const change = await readChange(call, target, options);
  return objectReply(call, target, await update(call.context, { target, name, part, change }, options));
}

/** The change that a PUT or PATCH asks for. */
export async function readChange(
  call: Call,
  target: Target,
  options: WriteOptions,
): Promise<(object: JsonObject) => JsonObject> {
  const { type, body } = await readTyped(call);
  const wanted = call.method === "PATCH" ? undefined : parseObject(body, type);
  const change = wanted === undefined ? parsePatch(target.kind, type, body) : () => wanted;
  reportDuplicates(target, type, body, options);
  return change;
}

async function readTyped({ request }: Call): Promise<{ readonly type: string; readonly body: Buffer }> {
  return { type: contentType(request.headers["content-type"]), body: await readBody(request) };
}

/** Tells of members that stand twice; in YAML they are mistakes of syntax, protobuf has none. */
export function reportDuplicates(target: Target, type: string, body: Buffer, options: WriteOptions): void {
  if (type !== "" && !type.endsWith("json")) return;
  reportFields(target, "duplicate", duplicateFields(body.toString()), options);
}

async function readDeleteOptions(call: Call): Promise<ReturnType<typeof parseDeleteOptions>> {
  const { type, body } = await readTyped(call);
  const options = body.length === 0 ? {} : parseObject(body, type);
  return parseDeleteOptions(call, options);
}

function deletionReply(call: Call, target: Target, { object, gone }: Deletion): Reply {
  if (!gone) return objectReply(call, target, object);
  const { name, uid } = object.metadata;
  const { group, plural } = target.kind;
  const status = success({ name, ...(group === "" ? {} : { group }), kind: plural, uid });
  const { encoding } = parseShape(call.request.headers.accept, false);
  return { kind: "value", code: 200, body: { value: status }, encoding };
}

/** DELETE of one object. */
export async function handleDelete(call: Call, target: Target, name: string): Promise<Reply> {
  const options = await readDeleteOptions(call);
  if (await forgetsOwners(call.context, target, name, options)) {
    const { object } = await getStored(call.context, target, name);
    return deletionReply(call, target, { object, gone: true });
  }
  return deletionReply(call, target, await remove(call.context, target, name, options));
}

/** DELETE of a collection: of what the selectors mean. Answers the objects as they were. */
export async function handleDeleteCollection(call: Call, target: Target): Promise<Reply> {
  const shape = parseShape(call.request.headers.accept, true);
  const options = await readDeleteOptions(call);
  const selector = parseSelector(target.kind, target.version, call.query);
  const { objects, metadata } = await list(call.context, target, selector, call.query);
  if (call.blind || (await leavesBehind(call.context, target, true))) {
    return { kind: "value", code: 200, body: emptyList(call, target, shape, metadata), encoding: shape.encoding };
  }
  for (const { metadata } of objects) {
    const own = { ...target, namespace: metadata.namespace };
    await remove(call.context, own, metadata.name, { ...options, uid: metadata.uid }).catch((error: unknown) => {
      // Somebody else removed it, or made another of that name.
      const code = codeOf(error);
      if (code !== "NotFound" && code !== "Conflict") throw error;
    });
  }
  const body = renderList(viewOf(call, target, shape), objects, metadata);
  return { kind: "value", code: 200, body, encoding: shape.encoding };
}
