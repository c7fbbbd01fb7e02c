import { resourceName } from "#api/kind.ts";
import { apiVersionOf } from "#api/meta.ts";
import { flag } from "../options.ts";
import type { ResourcePath } from "../path.ts";
import type { Target } from "../registry/target.ts";
import { getStored } from "../registry/update.ts";
import type { Reply } from "../reply.ts";
import { ApiError, methodNotAllowed, noSuchPath } from "../status.ts";
import { handleApply, isApply } from "./apply.ts";
import type { Call } from "./call.ts";
import { handleHistory } from "./history.ts";
import { handleLog } from "./log.ts";
import {
  handleChange,
  handleCreate,
  handleDelete,
  handleDeleteCollection,
  handleGet,
  handleList,
  handleWatch,
  objectReply,
} from "./objects.ts";
import { handleBinding, handleEviction } from "./pods.ts";
import { handleProxy } from "./proxy.ts";
import { handleScale } from "./scale.ts";
import { handleTokenRequest } from "./token-request.ts";

type Handler = (call: Call, target: Target, name: string, rest: string) => Promise<Reply>;

async function handleStatus(call: Call, target: Target, name: string): Promise<Reply> {
  switch (call.method) {
    case "GET":
      return objectReply(call, target, (await getStored(call.context, target, name)).object);
    case "PUT":
    case "PATCH":
      return isApply(call) ? handleApply(call, target, name, "status") : handleChange(call, target, name, "status");
    default:
      throw methodNotAllowed(target.kind);
  }
}

/** Subresources that some kinds alone have. */
const ownHandlers: ReadonlyMap<string, Handler> = new Map([
  ["pods/log", handleLog],
  ["pods/proxy", handleProxy],
  ["pods/binding", handleBinding],
  ["pods/eviction", handleEviction],
  ["serviceaccounts/token", handleTokenRequest],
]);

function subresourceHandler({ kind }: Target, subresource: string): Handler {
  if (subresource === "history") return handleHistory;
  if (subresource === "status" && kind.status) return handleStatus;
  if (subresource === "scale" && kind.scale !== undefined) return handleScale;
  const own = ownHandlers.get(`${resourceName(kind)}/${subresource}`);
  if (own === undefined) throw noSuchPath();
  return own;
}

function handleCollection(call: Call, target: Target): Promise<Reply> | Reply {
  switch (call.method) {
    case "GET":
      return flag(call.query, "watch") ? handleWatch(call, target, undefined) : handleList(call, target);
    case "POST":
      // Namespaced objects are made in a namespace.
      if (target.kind.namespaced && target.namespace === undefined) throw methodNotAllowed(target.kind);
      return handleCreate(call, target);
    case "DELETE":
      if (target.kind.namespaced && target.namespace === undefined) throw methodNotAllowed(target.kind);
      return handleDeleteCollection(call, target);
    default:
      throw methodNotAllowed(target.kind);
  }
}

function handleObject(call: Call, target: Target, name: string): Promise<Reply> | Reply {
  switch (call.method) {
    case "GET":
      return flag(call.query, "watch") ? handleWatch(call, target, name) : handleGet(call, target, name);
    case "PUT":
    case "PATCH":
      return isApply(call) ? handleApply(call, target, name, "specification") : handleChange(call, target, name);
    case "DELETE":
      return handleDelete(call, target, name);
    default:
      throw methodNotAllowed(target.kind);
  }
}

function targetOf(call: Call, path: ResourcePath): Target {
  const { group, version, resource, namespace, name } = path;
  const kind = call.context.kinds.at(group, version, resource);
  if (kind === undefined) throw noSuchPath();
  if (!kind.namespaced && namespace !== undefined) throw noSuchPath();
  if (kind.namespaced && namespace === undefined && name !== undefined) throw noSuchPath();
  if (kind.versions.find(({ name }) => name === version)?.deprecated === true) {
    const preferred = apiVersionOf(group, kind.versions[0].name);
    call.warn(`${apiVersionOf(group, version)} ${kind.kind} is deprecated; use ${preferred} ${kind.kind}`);
  }
  return { kind, version, namespace };
}

/** A request to the resource API. */
export async function handleResource(call: Call, path: ResourcePath): Promise<Reply> {
  const target = targetOf(call, path);
  const { name, subresource, rest } = path;
  if (name === undefined) return handleCollection(call, target);
  if (name.length > 253) throw new ApiError("BadRequest", "the name in the path is too long");
  if (subresource === undefined) return handleObject(call, target, name);
  return subresourceHandler(target, subresource)(call, target, name, rest);
}
