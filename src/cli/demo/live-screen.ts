import type { WriteStream } from "node:tty";
import { plainLine, screen } from "./screen.ts";
import type { DemoInfo, DemoStatus } from "./status.ts";

/** Seconds between lines where there is no terminal. */
const plainEvery = 30;
const home = "\u001B[H";
const clearLine = "\u001B[K";
const clearBelow = "\u001B[J";
const hideCursor = "\u001B[?25l";
const showCursor = "\u001B[?25h";
const otherScreen = "\u001B[?1049h";
const firstScreen = "\u001B[?1049l";

/** The status on a terminal, drawn in place; without a terminal a plain line now and then. */
export class LiveScreen {
  readonly #out: WriteStream;
  #drawing = false;
  #lastPlain = -Infinity;

  constructor(out: WriteStream) {
    this.#out = out;
    // A terminal that was closed takes no more; the supervisor ends by its own signal.
    out.on("error", () => undefined);
  }

  /** A thing that happened. While the status is drawn it stands there as an event. */
  say(line: string): void {
    if (!this.#drawing) this.#write(`${line}\n`);
  }

  /** Draws the state. */
  show(info: DemoInfo, status: DemoStatus): void {
    if (!this.#out.isTTY) {
      if (status.upSeconds - this.#lastPlain < plainEvery) return;
      this.#lastPlain = status.upSeconds;
      this.#write(`${plainLine(status)}\n`);
      return;
    }
    // The alternate screen: what was printed before stands there again in the end.
    if (!this.#drawing) this.#write(otherScreen + hideCursor);
    this.#drawing = true;
    const lines = screen(info, status, this.#out.rows).split("\n").slice(0, this.#out.rows);
    this.#write(home + lines.map((line) => `${line}${clearLine}`).join("\n") + clearBelow);
  }

  /** Gives the terminal back. */
  end(): void {
    if (this.#drawing) this.#write(showCursor + firstScreen);
    this.#drawing = false;
  }

  #write(text: string): void {
    if (this.#out.writable) this.#out.write(text);
  }
}
