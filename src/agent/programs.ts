import { readFileSync } from "node:fs";
import { isAbsolute, normalize } from "node:path";
import { WeftError } from "#base/errors.ts";
import type { ProgramOptions } from "./options.ts";

/** A command line and the folder that it runs in. */
export interface Program {
  readonly argv: readonly [string, ...string[]];
  readonly folder: string;
}

/** An image's name without its tag and digest: `weft.dev/shop/page:v1` is `weft.dev/shop/page`. */
export function imageName(image: string): string {
  const [name = ""] = image.split("@");
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
}

function isCommand(value: unknown): value is [string, ...string[]] {
  return Array.isArray(value) && value.length > 0 && value.every((word) => typeof word === "string");
}

/** The images that a node has, from its programs file. */
export class Programs {
  readonly #options: ProgramOptions;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  /**
   * The program that an image stands for. The file is read each time, so that it can be changed while the agent runs.
   * Only what the file names runs: an image is looked up, never used as a path.
   * @throws WeftError `NotFound` for an image that is not there, `InvalidArgument` when the file is not as it should be.
   */
  find(image: string): Program {
    const name = imageName(image);
    const programs = this.#read();
    const argv = Object.hasOwn(programs, name) ? programs[name] : undefined;
    if (argv === undefined)
      throw new WeftError(
        "NotFound",
        `no program for the image "${image}" on this node: ${this.#options.file} has no entry "${name}"`,
      );
    if (!isCommand(argv))
      throw new WeftError("InvalidArgument", `${this.#options.file}: "${name}" must be a list of words`);
    for (const word of argv) {
      if (!isAbsolute(word) && normalize(word).startsWith(".."))
        throw new WeftError("InvalidArgument", `${this.#options.file}: "${name}": ${word} leads out of the folder`);
    }
    return { argv, folder: this.#options.folder };
  }

  #read(): Readonly<Record<string, unknown>> {
    try {
      return JSON.parse(readFileSync(this.#options.file, "utf8")) as Record<string, unknown>;
    } catch (error) {
      throw new WeftError("InvalidArgument", `the programs file ${this.#options.file} cannot be read`, error);
    }
  }
}
