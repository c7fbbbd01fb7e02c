import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import type { RootRotation } from "#api/weft/root-rotation.ts";
import { codeOf, WeftError } from "#base/errors.ts";
import type { AuthorityFiles } from "#identity/authority.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { filesOf, secretData } from "./authority-files.ts";

/** Both authorities of a rotation. */
export interface BothAuthorities {
  readonly old: AuthorityFiles;
  readonly next: AuthorityFiles;
}

const ownerAnnotation = "mesh.weft.dev/root-rotation";

function prefixed(prefix: string, files: AuthorityFiles): Record<string, string> {
  return Object.fromEntries(Object.entries(secretData(files)).map(([name, text]) => [prefix + name, text]));
}

function without(prefix: string, { data = {} }: Secret): AuthorityFiles {
  const own = Object.entries(data).filter(([name]) => name.startsWith(prefix));
  return filesOf({ data: Object.fromEntries(own.map(([name, text]) => [name.slice(prefix.length), text])) });
}

/** The Secret in which a rotation keeps both authorities until its end: so it goes on, or back, whoever dies in between. */
export class KeptAuthorities {
  readonly #secrets: KindClient<Secret>;
  readonly #namespace: string;

  constructor(client: Client, namespace: string) {
    this.#secrets = client.of<Secret>(secretKind);
    this.#namespace = namespace;
  }

  /** The Secret's namespace and name. */
  place({ metadata }: RootRotation): { readonly namespace: string; readonly name: string } {
    return { namespace: this.#namespace, name: `root-rotation-${metadata.name}` };
  }

  /**
   * Keeps both, unless another replica has done so.
   * @returns what is kept.
   * @throws WeftError `FailedPrecondition` when the Secret is another rotation's.
   */
  async keep(rotation: RootRotation, { old, next }: BothAuthorities): Promise<BothAuthorities> {
    const metadata = { ...this.place(rotation), annotations: { [ownerAnnotation]: rotation.metadata.uid } };
    const data = { ...prefixed("old-", old), ...prefixed("new-", next) };
    try {
      await this.#secrets.create({ metadata, type: "mesh.weft.dev/root-rotation", data });
    } catch (error) {
      if (codeOf(error) !== "AlreadyExists") throw error;
    }
    const kept = await this.find(rotation);
    if (kept) return kept;
    const { namespace, name } = this.place(rotation);
    throw new WeftError("FailedPrecondition", `the Secret ${namespace}/${name} is of an earlier rotation: delete it`);
  }

  /** What is kept; undefined where there is nothing of this rotation. */
  async find(rotation: RootRotation): Promise<BothAuthorities | undefined> {
    const found = await this.#secrets.find(this.place(rotation));
    if (found?.metadata.annotations?.[ownerAnnotation] !== rotation.metadata.uid) return undefined;
    return { old: without("old-", found), next: without("new-", found) };
  }

  /** Forgets both. */
  async forget(rotation: RootRotation): Promise<void> {
    if ((await this.find(rotation)) === undefined) return;
    try {
      await this.#secrets.delete(this.place(rotation));
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
    }
  }
}
