import type { StringMap } from "#api/meta.ts";
import { installNames } from "./options.ts";

/** An object that an installation makes. */
export interface InstallObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: StringMap;
    readonly annotations?: StringMap;
  };
  readonly [member: string]: unknown;
}

/** The label of all that an installation makes, by which it is found again. */
export const installLabel = { "mesh.weft.dev/install": "stand-alone" } as const;
/** The same as a selector. */
export const installSelector = Object.entries(installLabel)
  .map((pair) => pair.join("="))
  .join(",");

const commonLabels = { "app.kubernetes.io/managed-by": "weft", "app.kubernetes.io/part-of": "weft", ...installLabel };

/** The object with the labels of the installation. */
export function installed<T extends Omit<InstallObject, "metadata"> & { readonly metadata: InstallObject["metadata"] }>(
  object: T,
): T {
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, labels: { ...metadata.labels, ...commonLabels } } };
}

/** An object of the whole cluster. */
export function clusterObject(apiVersion: string, kind: string, name: string, content: object): InstallObject {
  return installed({ apiVersion, kind, metadata: { name }, ...content });
}

/** An object of the control plane's namespace, with labels that say which part it belongs to. */
export function ownObject(apiVersion: string, kind: string, name: string, content: object): InstallObject {
  const labels = { app: name };
  return installed({ apiVersion, kind, metadata: { namespace: installNames.namespace, name, labels }, ...content });
}
