import { valueAt } from "#api/columns.ts";
import type { ScaleFields } from "#api/kind.ts";
import { apiVersionOf, type ResourceObject } from "#api/meta.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { plainEncoding, notAcceptable } from "../media.ts";
import { parseWriteOptions } from "../options.ts";
import type { Target } from "../registry/target.ts";
import { getStored, update } from "../registry/update.ts";
import { json, type Reply } from "../reply.ts";
import { invalid, methodNotAllowed } from "../status.ts";
import { isApply, readConfiguration } from "./apply.ts";
import type { Call } from "./call.ts";
import { readChange } from "./objects.ts";

/** An object's replica count as Kubernetes' `autoscaling/v1.Scale`. */
function scaleOf(fields: ScaleFields, object: ResourceObject): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: valueAt(object, "spec", "replicas") ?? 0 },
    status: { replicas: valueAt(object, "status", "replicas") ?? 0, selector: fields.selector(object) },
  };
}

function replicasOf(name: string, scale: JsonObject): number {
  const spec = scale["spec"];
  const replicas = isObject(spec) ? (spec["replicas"] ?? 0) : 0;
  if (Number.isSafeInteger(replicas) && (replicas as number) >= 0) return replicas as number;
  throw invalid({ group: "autoscaling", kind: "Scale" }, name, [
    {
      field: "spec.replicas",
      reason: "FieldValueInvalid",
      message: `Invalid value: ${JSON.stringify(replicas)}: must be a whole number of at least 0`,
    },
  ]);
}

/** The change of an object that a change of its scale means. */
function rescale(
  name: string,
  fields: ScaleFields,
  change: (scale: JsonObject) => JsonObject,
): (object: ResourceObject) => JsonObject {
  return (object) => {
    const scale = change(scaleOf(fields, object));
    const metadata = isObject(scale["metadata"]) ? scale["metadata"] : {};
    const spec = object["spec"];
    return {
      ...object,
      // The version that the scale was read at binds the object's change too.
      metadata: { ...object.metadata, resourceVersion: metadata["resourceVersion"] ?? "", uid: metadata["uid"] ?? "" },
      spec: { ...(isObject(spec) ? spec : {}), replicas: replicasOf(name, scale) },
    };
  };
}

async function changeScale(call: Call, target: Target, name: string, fields: ScaleFields): Promise<ResourceObject> {
  const options = parseWriteOptions(call);
  const change = rescale(name, fields, await readChange(call, target, options));
  return update(call.context, { target, name, part: "specification", change }, options);
}

/** An applied scale is the object's replica count, applied. */
async function applyScale(call: Call, target: Target, name: string): Promise<ResourceObject> {
  const { kind, version } = target;
  const { configuration, options } = await readConfiguration(call, target);
  const { fields, force } = configuration;
  const submitted = isObject(fields["metadata"]) ? fields["metadata"] : {};
  const applied = {
    apiVersion: apiVersionOf(kind.group, version),
    kind: kind.kind,
    metadata: { ...submitted, name },
    spec: { replicas: replicasOf(name, fields) },
  };
  const change = { target, name, part: "specification", configuration: { fields: applied, force } } as const;
  return update(call.context, change, options);
}

/** The `/scale` subresource: GET, PUT, PATCH. */
export async function handleScale(call: Call, target: Target, name: string): Promise<Reply> {
  const fields = target.kind.scale;
  const encoding = plainEncoding(call.request.headers.accept);
  if (encoding === undefined) throw notAcceptable();
  if (fields === undefined) throw methodNotAllowed(target.kind);
  switch (call.method) {
    case "GET":
      return json(scaleOf(fields, (await getStored(call.context, target, name)).object), 200, encoding);
    case "PUT":
    case "PATCH": {
      const object = await (isApply(call) ? applyScale(call, target, name) : changeScale(call, target, name, fields));
      return json(scaleOf(fields, object), 200, encoding);
    }
    default:
      throw methodNotAllowed(target.kind);
  }
}
