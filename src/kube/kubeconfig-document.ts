import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { WeftError, messageOf } from "#base/errors.ts";

/** A mapping of YAML. */
export type Mapping = Readonly<Record<string, unknown>>;

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A kubeconfig's mappings, which says of what is wrong where it stands and in which member. */
export class KubeconfigDocument {
  /** What messages call it. */
  readonly source: string;
  readonly root: Mapping;
  readonly #folder: string | undefined;

  private constructor(source: string, root: Mapping, folder: string | undefined) {
    this.source = source;
    this.root = root;
    this.#folder = folder;
  }

  /** @throws WeftError `NotFound` or `InvalidArgument`. */
  static async read(path: string): Promise<KubeconfigDocument> {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      throw new WeftError("NotFound", `kubeconfig ${path} cannot be read`, error);
    }
    return KubeconfigDocument.#parsed(text, `kubeconfig ${path}`, dirname(path));
  }

  /**
   * A kubeconfig that is no file.
   * @param source what messages call it.
   * @throws WeftError `InvalidArgument`.
   */
  static parse(text: string, source: string): KubeconfigDocument {
    return KubeconfigDocument.#parsed(text, source, undefined);
  }

  static #parsed(text: string, source: string, folder: string | undefined): KubeconfigDocument {
    let root: unknown;
    try {
      root = parse(text, { logLevel: "error" });
    } catch (error) {
      // What the parser says of one that is no file quotes it, secrets included.
      throw new WeftError("InvalidArgument", `${source} is not YAML`, folder === undefined ? undefined : error);
    }
    if (isMapping(root)) return new KubeconfigDocument(source, root, folder);
    throw new WeftError("InvalidArgument", `${source} holds no mapping`);
  }

  fault(message: string): WeftError {
    return new WeftError("InvalidArgument", `${this.source}: ${message}`);
  }

  /** The entry of that name in `clusters`, `users` or `contexts`. */
  entry(list: "clusters" | "users" | "contexts", name: string): Mapping {
    const member = list.slice(0, -1);
    const entries = this.root[list];
    const names: string[] = [];
    for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
      if (!isMapping(entry) || typeof entry["name"] !== "string") throw this.fault(`an entry of ${list} has no name`);
      names.push(entry["name"]);
      if (entry["name"] !== name) continue;
      const body = entry[member] ?? {};
      if (isMapping(body)) return body;
      throw this.fault(`${list} "${name}" is not a mapping`);
    }
    const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    throw this.fault(`there is no ${member} "${name}" (${known})`);
  }

  /** A member that is text; undefined where it is not set. */
  text(body: Mapping, member: string, where: string): string | undefined {
    const value = body[member];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw this.fault(`${where}.${member} is not text`);
    return value;
  }

  /** PEM text given in place (`<member>-data`, base64) or as a file, whose path is relative to the kubeconfig. */
  async pem(body: Mapping, member: string, where: string): Promise<string | undefined> {
    const data = this.text(body, `${member}-data`, where);
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    const file = this.text(body, member, where);
    if (file === undefined) return undefined;
    try {
      return await readFile(this.relative(file), "utf8");
    } catch (error) {
      throw this.fault(`${where}.${member}: ${messageOf(error)}`);
    }
  }

  /** A path that is meant from where the document is. */
  relative(path: string): string {
    return resolve(this.#folder ?? "", path);
  }
}
