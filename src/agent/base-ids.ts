import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "#base/errors.ts";

/** Largest base id: Envoy multiplies it by ten and keeps it in 32 bits. */
const maxBaseId = 0xffff;

/** Where an Envoy and the one that takes over from it find each other. */
function sharedMemory(id: number): string {
  return `/dev/shm/envoy_shared_memory_${id * 10}`;
}

/**
 * Gives each Envoy the number by which hot restart finds its predecessor. Its shared memory is the machine's, whatever the
 * namespace, so numbers are the machine's too: a file each, in a folder that all agents share.
 */
export class BaseIds {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * A number that no other Envoy of the machine has.
   * @param owner what it is for: a path that exists as long as the Envoy may.
   */
  allocate(owner: string): number {
    mkdirSync(this.#folder, { recursive: true });
    for (let id = 1; id <= maxBaseId; id += 1) {
      try {
        writeFileSync(join(this.#folder, String(id)), owner, { flag: "wx" });
        return id;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        if (this.#isStale(id)) {
          this.free(id);
          id -= 1;
        }
      }
    }
    throw new WeftError("ResourceExhausted", "no base id for another Envoy is left on this machine");
  }

  /** Whether a number is still this owner's; after the machine's restart it is not. */
  holds(id: number, owner: string): boolean {
    try {
      return readFileSync(join(this.#folder, String(id)), "utf8") === owner;
    } catch {
      return false;
    }
  }

  /** Whether the owner has gone without giving the number back. */
  #isStale(id: number): boolean {
    try {
      const owner = readFileSync(join(this.#folder, String(id)), "utf8");
      return owner !== "" && !existsSync(owner);
    } catch {
      return false;
    }
  }

  /**
   * Takes away the mark of an Envoy that ended while it was about to take over from another: as long as the mark is there, nobody can.
   * It is the last word of their shared memory, whose first word is its size.
   */
  unmark(id: number): void {
    const path = sharedMemory(id);
    const bytes = readFileSync(path);
    const size = Number(bytes.readBigUInt64LE(0));
    if (size !== bytes.length) throw new WeftError("Internal", `${path} has not the form of Envoy's shared memory`);
    const file = openSync(path, "r+");
    try {
      writeSync(file, Buffer.alloc(8), 0, 8, size - 8);
    } finally {
      closeSync(file);
    }
  }

  /** Gives a number back, and with it the shared memory that its Envoy may have left. */
  free(id: number): void {
    rmSync(sharedMemory(id), { force: true });
    rmSync(join(this.#folder, String(id)), { force: true });
  }
}
