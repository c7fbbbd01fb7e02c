import { timestamp } from "#base/timestamp.ts";
import type { WriteRecord } from "#store/port.ts";
import { keyOf } from "../context.ts";
import type { Target } from "../registry/target.ts";
import { json, type Reply } from "../reply.ts";
import { ApiError, methodNotAllowed, notFound } from "../status.ts";
import type { Call } from "./call.ts";

function itemOf({ revision, time, minor, by, object }: WriteRecord): object {
  return {
    revision: String(revision),
    time: timestamp(time),
    minor,
    ...(by === undefined ? {} : { by }),
    ...(object === undefined ? {} : { object }),
  };
}

/**
 * GET of any object's `history`: who wrote it, when, how, and what, the oldest write first. Writes of the status alone have no
 * object; Secrets have no values. An object that is gone still has its history for a while.
 */
export async function handleHistory(call: Call, target: Target, name: string): Promise<Reply> {
  if (call.method !== "GET") throw methodNotAllowed(target.kind);
  const records = await call.context.store.records(keyOf(call.context, target.kind, target.namespace, name));
  if (records === undefined) {
    throw new ApiError("NotFound", "this server keeps no history of objects: start it without --history-days 0");
  }
  if (records.length === 0) throw notFound(target.kind, name);
  const { namespace } = target;
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  return json({ kind: "ObjectHistory", apiVersion: "mesh.weft.dev/v1alpha1", metadata, items: records.map(itemOf) });
}
