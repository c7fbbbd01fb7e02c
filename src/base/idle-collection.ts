import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "./clock.ts";

/** Milliseconds between collections of what is young; each takes a millisecond or two. */
const everyMs = 10_000;

/**
 * Lets V8 see that nothing happens any more. It judges how much a process allocates only when it collects, and so takes one
 * that has stopped in the middle of a burst for busy, for a hundred seconds, and keeps what the burst left. A collection
 * of what is young now and then tells it; the old is then collected by V8 itself, little by little, and given back.
 */
export function collectWhenIdle(clock: Clock): Disposable {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { readonly type: "minor" }) => void;
  return clock.every(everyMs, () => collect({ type: "minor" }));
}
