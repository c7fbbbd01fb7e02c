import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { memberNamespace } from "#api/member-api.ts";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { Definition } from "./exported.ts";

/** All that a cluster had before the mesh took it over. */
export interface Backup {
  readonly cluster: string;
  /** RFC 3339. */
  readonly time: string;
  readonly definitions: readonly Definition[];
  readonly objects: readonly ResourceObject[];
  /** Objects of the mesh that the cluster's replaced, as they were. */
  readonly replaced: readonly ResourceObject[];
}

/** The label of the ConfigMaps that hold a backup. */
const label = "mesh.weft.dev/adopted";
/** The annotation of its first part, once all are written and read again: nothing is removed from the cluster before. */
const finished = "mesh.weft.dev/complete";

/** Base64 that one ConfigMap holds: below Kubernetes' limit of a mebibyte. */
const partSize = 700_000;

/** A backup is read whole; beyond this it is none. */
const mostBytes = 512 * 1024 * 1024;

function digestOf(packed: string): string {
  return createHash("sha256").update(packed).digest("hex");
}

/** The place of a part among all. */
function placeOf({ metadata: { name } }: ConfigMap): number {
  return Number(name.replace(/^.*-/, ""));
}

/** Where a cluster keeps what it had: ConfigMaps of its own, which are read again once written. */
export class BackupPlace {
  readonly #client: Client;

  /** @param client the cluster's API, as an administrator of it. */
  constructor(client: Client) {
    this.#client = client;
  }

  get #maps() {
    return this.#client.of<ConfigMap>(configMap);
  }

  async #parts(): Promise<readonly ConfigMap[]> {
    const { items } = await this.#maps.list({ namespace: memberNamespace, labelSelector: `${label}=true` });
    return items;
  }

  /** Whether one was finished, be it whole yet or not. One that was cut off is none: the cluster has all that it had. */
  async exists(): Promise<boolean> {
    const parts = await this.#parts();
    return parts.some(({ metadata }) => metadata.annotations?.[finished] !== undefined);
  }

  /** Writes a backup, and reads it again. @throws WeftError `Internal` where what is read is not what was written. */
  async write(backup: Backup): Promise<void> {
    await this.remove();
    const packed = gzipSync(JSON.stringify(backup)).toString("base64");
    const count = Math.ceil(packed.length / partSize);
    for (let at = 0; at < count; at += 1) {
      const annotations = { "mesh.weft.dev/parts": String(count), "mesh.weft.dev/sha256": digestOf(packed) };
      const metadata = {
        namespace: memberNamespace,
        name: `weft-adopted-${at}`,
        labels: { [label]: "true" },
        annotations,
      };
      await this.#maps.create({ metadata, data: { part: packed.slice(at * partSize, (at + 1) * partSize) } });
    }
    const read = await this.read();
    if (JSON.stringify(read) !== JSON.stringify(backup)) {
      throw new WeftError("Internal", "the backup reads otherwise than it was written; nothing was removed");
    }
    const body = { metadata: { annotations: { [finished]: "true" } } };
    await this.#maps.patch({ namespace: memberNamespace, name: "weft-adopted-0" }, { kind: "merge", body });
  }

  /** @throws WeftError `NotFound` where there is none, `FailedPrecondition` where parts of it are missing. */
  async read(): Promise<Backup> {
    const parts = await this.#parts();
    if (parts.length === 0) {
      throw new WeftError(
        "NotFound",
        `the cluster has no backup: no ConfigMap of ${memberNamespace} has the label ${label}`,
      );
    }
    const sorted = parts.toSorted((a, b) => placeOf(a) - placeOf(b));
    const packed = sorted.map(({ data }) => data?.["part"] ?? "").join("");
    const annotations = sorted[0]?.metadata.annotations ?? {};
    if (
      Number(annotations["mesh.weft.dev/parts"]) !== parts.length ||
      annotations["mesh.weft.dev/sha256"] !== digestOf(packed)
    ) {
      throw new WeftError(
        "FailedPrecondition",
        `the backup in the ConfigMaps ${memberNamespace}/weft-adopted-* is not whole: restore them, or use the file of --backup`,
      );
    }
    return JSON.parse(
      gunzipSync(Buffer.from(packed, "base64"), { maxOutputLength: mostBytes }).toString("utf8"),
    ) as Backup;
  }

  async remove(): Promise<void> {
    for (const { metadata } of await this.#parts()) {
      try {
        await this.#maps.delete({ namespace: memberNamespace, name: metadata.name }, { uid: metadata.uid });
      } catch (error) {
        if (codeOf(error) !== "NotFound") throw error;
      }
    }
  }
}
