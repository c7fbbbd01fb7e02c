import { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { ProxyReporter } from "./reporter.ts";

/** A control plane that takes what is written, and says that reports came while it answers. */
class Plane {
  answers = true;
  lost = 0;
  reports = 0;
  /** Streams that were opened. */
  opened = 0;
  connection: object = {};
  readonly #stream = (): Duplex & { cancel: () => void } => {
    this.opened += 1;
    const stream = new Duplex({
      objectMode: true,
      read: () => undefined,
      write: (bytes: Buffer, _encoding, done) => {
        const { kind } = JSON.parse(bytes.toString("utf8")) as { readonly kind: string };
        if (kind === "report") {
          this.reports += 1;
          if (this.answers) stream.push(Buffer.from('{"ask":"nothing"}'));
        }
        done();
      },
    });
    return Object.assign(stream, { cancel: () => stream.destroy() });
  };

  readonly way = {
    open: () => this.#stream() as never,
    lost: () => {
      this.lost += 1;
      this.connection = {};
    },
  };
}

const clock = new ManualClock();

/** Lets seconds pass, with what happens in each. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    clock.advance(1_000);
    for (let turn = 0; turn < 10; turn += 1) await setImmediate();
  }
}

function reporter(plane: Plane): ProxyReporter {
  let restarts = 0;
  const look = (): { readonly process: "Running"; readonly restarts: number } => ({
    process: "Running",
    restarts: (restarts += 1),
  });
  const ask = async (): Promise<string> => "{}";
  const way = Object.defineProperty(plane.way, "connection", { get: () => plane.connection }) as never;
  const node = { id: "a", cluster: "east", namespace: "shop" };
  return new ProxyReporter({ version: "1", look, ask, node, way, clock, logger: silentLogger });
}

test("a control plane that does not say any more that reports come is left within 20 seconds", async () => {
  const plane = new Plane();
  using _reporter = reporter(plane);
  await pass(45);
  expect([plane.reports > 3, plane.lost, plane.opened]).toEqual([true, 0, 1]);
  plane.answers = false;
  await pass(21);
  expect(plane.lost).toBe(1);
  plane.answers = true;
  await pass(60);
  expect([plane.lost, plane.opened]).toEqual([1, 2]);
});

test("one that never says so is kept: it is of an earlier version", async () => {
  const plane = new Plane();
  plane.answers = false;
  using _reporter = reporter(plane);
  await pass(120);
  expect([plane.reports > 10, plane.lost, plane.opened]).toEqual([true, 0, 1]);
});

test("one that is gone before it was told anything is left too, where its kind was heard before", async () => {
  const plane = new Plane();
  using _reporter = reporter(plane);
  await pass(45);
  plane.answers = false;
  plane.connection = {};
  await pass(21);
  expect(plane.lost).toBe(1);
  // Perhaps it is one of an earlier version: that costs one connection.
  await pass(120);
  expect([plane.lost, plane.opened]).toEqual([1, 3]);
});
