import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";

/** Which part of a log is wanted, and how; the query parameters of Kubernetes' Pod logs. */
export interface LogOptions {
  /** Go on with what is written from now on, until the process ends. */
  readonly follow?: boolean;
  /** Only so many lines from the end. */
  readonly tailLines?: number;
  /** Only lines written since, in milliseconds since the epoch. */
  readonly since?: number;
  /** Put the time (RFC 3339, whole seconds) before each line. */
  readonly timestamps?: boolean;
  /** Stop after so many bytes. */
  readonly limitBytes?: number;
}

/** Length of the time and the blank that stand before each line on disk. */
const stampLength = "2026-01-01T00:00:00Z ".length;
const newline = 0x0a;
const pollMs = 100;

/** Cuts bytes into lines, with their ends; keeps what is not yet a whole line. */
class LineCutter {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): readonly Buffer[] {
    const text = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const lines: Buffer[] = [];
    let from = 0;
    for (let end = text.indexOf(newline); end !== -1; end = text.indexOf(newline, from)) {
      lines.push(text.subarray(from, end + 1));
      from = end + 1;
    }
    this.#rest = text.subarray(from);
    return lines;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function readOn(file: FileHandle): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, bytesRead));
  }
}

/** A log of a process's folder that is read on across the moments when `log` becomes `log.1`. */
class LogReader implements AsyncDisposable {
  readonly #folder: string;
  readonly #lines = new LineCutter();
  #file: FileHandle | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** All that is there, the part that was put aside included. */
  async start(): Promise<readonly Buffer[]> {
    this.#file = await openIfThere(join(this.#folder, "log.1"));
    return this.next();
  }

  /** Lines written since the last call. */
  async next(): Promise<readonly Buffer[]> {
    const lines: Buffer[] = [];
    this.#file ??= await openIfThere(join(this.#folder, "log"));
    while (this.#file !== undefined) {
      const current = await openIfThere(join(this.#folder, "log"));
      // What was written before the file was put aside is in it for good, so look at the name first and read then.
      const turned = current !== undefined && (await current.stat()).ino !== (await this.#file.stat()).ino;
      lines.push(...this.#lines.push(await readOn(this.#file)));
      if (!turned) {
        await current?.close();
        break;
      }
      await this.#file.close();
      this.#file = current;
    }
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
  }
}

function stampOf(line: Buffer): number {
  return Date.parse(line.toString("latin1", 0, stampLength - 1));
}

/** Reads a process's log, a line or more at a time, as it stands in its folder. `running` says whether more may come. */
export async function* readLog(
  folder: string,
  options: LogOptions,
  running: () => boolean,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { since, tailLines, timestamps = false } = options;
  let left = options.limitBytes ?? Infinity;
  await using reader = new LogReader(folder);
  let lines = await reader.start();
  if (since !== undefined) lines = lines.filter((line) => !(stampOf(line) < since));
  if (tailLines !== undefined) lines = tailLines === 0 ? [] : lines.slice(-tailLines);
  for (;;) {
    const whole = Buffer.concat(timestamps ? lines : lines.map((line) => line.subarray(stampLength)));
    if (whole.length > 0) yield whole.subarray(0, left);
    left -= whole.length;
    if (left <= 0 || options.follow !== true || signal.aborted) return;
    const last = !running();
    lines = await reader.next();
    if (lines.length > 0) continue;
    if (last) return;
    await clock.sleep(pollMs, signal).catch(() => undefined);
  }
}
