import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../records.ts";
import type { NameEntry, Place } from "./table.ts";

/** What a Pod's name server is to do. */
export interface PodNames extends Place {
  /** File of the Pod's network namespace. */
  readonly network: string;
  /** Name servers that know all other names; those of the host unless told. */
  readonly resolvers?: readonly string[];
  /** The hosts of the mesh, by name; undefined until the control plane has told them. */
  readonly hosts?: Readonly<Record<string, NameEntry>>;
}

/**
 * What the agent tells the node's name server: a file for each Pod, in one folder. So names are answered while the agent is away,
 * and known at once to a name server that was started anew.
 */
export class NameFiles {
  readonly #folder: string;
  readonly #known = new Map<string, PodNames>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether no Pod is served. */
  get empty(): boolean {
    return !readdirSync(this.#folder).some((name) => name.endsWith(".json"));
  }

  #path(uid: string): string {
    return join(this.#folder, `${uid}.json`);
  }

  /** Has a Pod served; hosts that are known already stay. */
  add(uid: string, names: PodNames): void {
    this.#write(uid, { ...this.#read(uid), ...names });
  }

  /** Tells a Pod's hosts anew. */
  setHosts(uid: string, hosts: Readonly<Record<string, NameEntry>>): void {
    const names = this.#read(uid);
    if (names !== undefined) this.#write(uid, { ...names, hosts });
  }

  /** Has a Pod served no more. */
  remove(uid: string): void {
    rmSync(this.#path(uid), { force: true });
    this.#known.delete(uid);
  }

  #read(uid: string): PodNames | undefined {
    return this.#known.get(uid) ?? readNames(this.#path(uid));
  }

  #write(uid: string, names: PodNames): void {
    this.#known.set(uid, names);
    const text = JSON.stringify(names);
    writeWhole(this.#path(uid), text);
  }
}

/** Reads the file of a Pod; undefined when there is none. */
export function readNames(path: string): PodNames | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as PodNames;
  } catch {
    return undefined;
  }
}
