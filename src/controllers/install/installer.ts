import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import { revisionLabel, tagLabel } from "#api/weft/revisions.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { gone } from "../clusters/published.ts";
import { type InstallObject, installLabel, installSelector } from "./object.ts";
import { installNames } from "./options.ts";
import { installKinds, kindOfObject } from "./resources.ts";

/** Whose fields they are in Kubernetes' managed fields. */
const fieldManager = "weft-install";

/** An object as messages name it. */
function nameOf({ kind, metadata: { namespace, name } }: InstallObject): string {
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

/** Whether an object was made by an installation. */
function isInstalled({ metadata: { labels = {} } }: ResourceObject): boolean {
  return Object.entries(installLabel).every(([name, value]) => labels[name] === value);
}

function keyOf(
  kind: KindRef,
  { namespace = "", name }: { readonly namespace?: string; readonly name: string },
): string {
  return `${kind.group}/${kind.kind}/${namespace}/${name}`;
}

/** Makes and removes the objects of an installation, with the rights of who installs. Everything may be done again. */
export class Installer {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Has the API server look at the objects of the whole cluster, and writes nothing: it refuses roles that who installs may not grant.
   * @throws WeftError with the first refusal, or where an object of a name is somebody else's.
   */
  async check(objects: readonly InstallObject[]): Promise<void> {
    for (const object of objects) {
      const found = await this.#find(object);
      if (found && !isInstalled(found) && object.kind !== "Namespace") {
        const fix = "it belongs to another installation, such as Istio's own: remove that first";
        throw new WeftError("FailedPrecondition", `there is a ${nameOf(object)} that Weft did not install; ${fix}`);
      }
      if (object.metadata.namespace === undefined) await this.#apply(object, true);
    }
  }

  /** Makes objects as they are to be, or changes them to that. */
  async apply(objects: readonly InstallObject[]): Promise<void> {
    for (const object of objects) {
      // A namespace that was there before is not the installation's.
      if (object.kind === "Namespace") {
        const found = await this.#find(object);
        if (found && !isInstalled(found)) continue;
      }
      await this.#apply(object, false);
    }
  }

  /**
   * Removes what an earlier installation made and this one does not have; never what holds the mesh's objects, nor revision tags.
   * @param revision whose objects are looked at; what is no revision's goes with the default one.
   */
  async prune(kept: readonly InstallObject[], revision: string): Promise<void> {
    const keep = new Set(kept.map((object) => keyOf(kindOfObject(object), object.metadata)));
    for (const kind of installKinds) {
      if (kind.kind === "PersistentVolumeClaim") continue;
      for (const object of await this.#all(kind)) {
        const { labels = {}, name } = object.metadata;
        // Where the first revision is gone it leads to the one that has its place.
        if (kind.kind === "Service" && name === installNames.discovery) continue;
        if (labels[tagLabel] !== undefined || (labels[revisionLabel] ?? "default") !== revision) continue;
        if (!keep.has(keyOf(kind, object.metadata))) await this.#delete(kind, object);
      }
    }
  }

  /** Removes what was installed of a revision, but for what `stays` names. */
  async removeRevision(revision: string, stays: (object: ResourceObject) => boolean): Promise<void> {
    for (const kind of installKinds) {
      for (const object of await this.#all(kind)) {
        if (object.metadata.labels?.[revisionLabel] === revision && !stays(object)) await this.#delete(kind, object);
      }
    }
  }

  /** Removes all that was installed but for the namespace. @returns how many objects are still there, for now. */
  async remove(): Promise<number> {
    let left = 0;
    for (const kind of installKinds) {
      for (const object of await this.#all(kind)) {
        left += 1;
        await this.#delete(kind, object);
      }
    }
    return left;
  }

  /** Whether anything is installed. */
  async found(): Promise<boolean> {
    for (const kind of installKinds) if ((await this.#all(kind)).length > 0) return true;
    return false;
  }

  async #all(kind: KindRef): Promise<readonly ResourceObject[]> {
    const { items } = await this.#client.of(kind).list({ labelSelector: installSelector });
    // What Kubernetes makes for a Service has the Service's labels, and goes with it.
    return items.filter(({ metadata }) => (metadata.ownerReferences ?? []).length === 0);
  }

  async #delete(kind: KindRef, { metadata }: ResourceObject): Promise<void> {
    const { namespace, name, uid } = metadata;
    const at = namespace === undefined ? { name } : { namespace, name };
    await gone(this.#client.of(kind).delete(at, { uid, propagation: "Background" }));
  }

  async #find(object: InstallObject): Promise<ResourceObject | undefined> {
    return this.#client.of(kindOfObject(object)).find(object.metadata);
  }

  /** Kubernetes' server-side apply: what others, such as controllers, have set beside stays. */
  async #apply(object: InstallObject, dryRun: boolean): Promise<void> {
    const { apiVersion, metadata } = object;
    const { namespaced, plural } = kindOfObject(object);
    const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const within = namespaced ? `/namespaces/${metadata.namespace ?? ""}` : "";
    const path = `${root}${within}/${plural}/${metadata.name}`;
    const query = { fieldManager, force: true, fieldValidation: "Strict", ...(dryRun && { dryRun: "All" }) };
    try {
      await this.#client.bytes({
        method: "PATCH",
        path,
        query,
        body: object,
        contentType: "application/apply-patch+yaml",
      });
    } catch (error) {
      throw new WeftError(codeOf(error), `${nameOf(object)}: ${messageOf(error)}`, error);
    }
  }
}

/** Removes the control plane's namespace where an installation made it and nobody else has anything in it. @returns why it stays. */
export async function removeNamespace(
  client: Client,
  name: string,
  kinds: readonly KindRef[],
): Promise<string | undefined> {
  const namespaces = client.of(namespaceKind);
  const found = await namespaces.find({ name });
  if (!found) return undefined;
  if (!isInstalled(found)) return `the Namespace ${name} was there before and stays`;
  for (const kind of kinds) {
    const { items } = await client.of(kind).list({ namespace: name });
    const other = items.find(({ metadata }) => metadata.name !== "kube-root-ca.crt");
    if (other)
      return `the Namespace ${name} stays: ${kind.kind} ${other.metadata.name} in it is not the installation's`;
  }
  await gone(namespaces.delete({ name }, { uid: found.metadata.uid }));
  return undefined;
}
