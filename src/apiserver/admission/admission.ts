import { resourceName, type Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Context } from "../context.ts";
import type { Submitted } from "../registry/target.ts";
import { admitted, type Admitted } from "./admitted.ts";
import { completeNamespace, keepFinalizers } from "./namespace.ts";
import { completePod } from "./pod.ts";
import { admitService, carryOverService } from "./service.ts";

/** What the server adds to a new object of a kind, beside what its schema does. */
export function admitCreation(context: Context, kind: Kind, object: ResourceObject): Promise<Admitted> {
  switch (resourceName(kind)) {
    case "namespaces":
      return Promise.resolve(admitted(completeNamespace(object)));
    case "pods":
      return completePod(context, kind, object).then((pod) => admitted(pod));
    case "services":
      return admitService(context, kind, object, undefined);
    default:
      return Promise.resolve(admitted(object));
  }
}

/** What the server adds to a changed object of a kind. */
export function admitUpdate(
  context: Context,
  kind: Kind,
  object: ResourceObject,
  before: ResourceObject,
): Promise<Admitted> {
  if (resourceName(kind) === "services") return admitService(context, kind, object, before);
  return Promise.resolve(admitted(object));
}

/** Gives a submitted change the fields that the server filled in before and that users may leave out. */
export function carryOver(kind: Kind, submitted: Submitted, before: ResourceObject): Submitted {
  switch (resourceName(kind)) {
    case "services":
      return carryOverService(submitted, before) as Submitted;
    case "namespaces":
      return keepFinalizers(submitted, before) as Submitted;
    default:
      return submitted;
  }
}
