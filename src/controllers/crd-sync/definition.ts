import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { definitionKind } from "../aggregation/installation.ts";

/** A member's CustomResourceDefinition of a kind that can be written by. */
export interface Definition {
  /** One that is made anew has another: objects of the old one were not deleted by their users. */
  readonly uid: string;
  /** The version in which objects are read and written. */
  readonly version: string;
}

/** Finds a member's definition of a kind; undefined where there is none, it is about to go, or serves no version that the mesh knows. */
export type FindDefinition = (client: Client, kind: Kind) => Promise<Definition | undefined>;

/** Kubernetes' `apiextensions.k8s.io/v1.CustomResourceDefinition`, as far as it is read. */
interface CustomResourceDefinition extends ResourceObject {
  readonly spec: { readonly versions: readonly { readonly name: string; readonly served: boolean }[] };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** The name of a kind's definition, `virtualservices.networking.istio.io`. */
export function definitionName({ plural, group }: Pick<Kind, "plural" | "group">): string {
  return `${plural}.${group}`;
}

/** Asks the member's API. */
export const findDefinition: FindDefinition = async (client, kind) => {
  try {
    const name = definitionName(kind);
    const { metadata, spec, status } = await client.of<CustomResourceDefinition>(definitionKind).get({ name });
    const stands = status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True") === true;
    if (!stands || metadata.deletionTimestamp !== undefined) return undefined;
    const served = new Set(spec.versions.filter((version) => version.served).map((version) => version.name));
    const version = kind.versions.find((each) => served.has(each.name));
    return version && { uid: metadata.uid, version: version.name };
  } catch (error) {
    if (codeOf(error) === "NotFound") return undefined;
    throw error;
  }
};
