import { valueAt } from "#api/columns.ts";
import { contentType } from "../media.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { parseObject, readBody } from "../body.ts";
import { parseDeleteOptions, parseWriteOptions } from "../options.ts";
import { remove } from "../registry/delete.ts";
import type { Target } from "../registry/target.ts";
import { update } from "../registry/update.ts";
import { json, type Reply } from "../reply.ts";
import { ApiError, conflict, methodNotAllowed, type Status } from "../status.ts";
import type { Call } from "./call.ts";

const created: Status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };

async function readPost(call: Call, target: Target): Promise<JsonObject> {
  if (call.method !== "POST") throw methodNotAllowed(target.kind);
  return parseObject(await readBody(call.request), contentType(call.request.headers["content-type"]));
}

/** POST to a Pod's `binding`: puts the Pod on a node, once. */
export async function handleBinding(call: Call, target: Target, name: string): Promise<Reply> {
  const binding = await readPost(call, target);
  const to = binding["target"];
  const node = isObject(to) ? to["name"] : undefined;
  if (typeof node !== "string" || node === "")
    throw new ApiError("BadRequest", "the binding names no node: target.name");
  await update(
    call.context,
    {
      target,
      name,
      part: "specification",
      change(pod) {
        const current = valueAt(pod, "spec", "nodeName");
        if (typeof current === "string" && current !== "") {
          throw conflict(target.kind, name, `pod ${name} is already assigned to node "${current}"`);
        }
        if (pod.metadata.deletionTimestamp !== undefined) {
          throw conflict(target.kind, name, `pod ${name} is being deleted, cannot be assigned to a host`);
        }
        const spec = pod["spec"];
        return { ...pod, spec: { ...(isObject(spec) ? spec : {}), nodeName: node } };
      },
    },
    parseWriteOptions(call),
  );
  return json(created, 201);
}

/** POST to a Pod's `eviction`: deletes it with its grace period. Nothing here limits how many may be missing at a time. */
export async function handleEviction(call: Call, target: Target, name: string): Promise<Reply> {
  const eviction = await readPost(call, target);
  const options = isObject(eviction["deleteOptions"]) ? eviction["deleteOptions"] : {};
  await remove(call.context, target, name, parseDeleteOptions(call, options));
  return json(created, 201);
}
