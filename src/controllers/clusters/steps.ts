import { messageOf } from "#base/errors.ts";

/** A part of an operation. It may be done again after it was cut off anywhere, and so may its undoing. */
export interface Step {
  /** What it does, for people. */
  readonly title: string;
  readonly run: () => Promise<void>;
  /** Takes back all of it, whether it was done wholly, partly or not at all; absent where there is nothing to take back. */
  readonly undo?: () => Promise<void>;
}

/** What is told of an operation as it goes on. */
export interface Progress {
  begun(title: string): void;
  done(title: string): void;
  failed(title: string, why: string): void;
}

/**
 * Carries out steps in order. When one fails, those begun are undone, the last one first, and the failure is thrown; what cannot be
 * undone is told, and the rest is undone nevertheless.
 */
export async function carryOut(steps: readonly Step[], progress: Progress): Promise<void> {
  const begun: Step[] = [];
  for (const step of steps) {
    begun.push(step);
    progress.begun(step.title);
    try {
      await step.run();
    } catch (error) {
      progress.failed(step.title, messageOf(error));
      await takeBack(begun, progress);
      throw error;
    }
    progress.done(step.title);
  }
}

async function takeBack(begun: readonly Step[], progress: Progress): Promise<void> {
  for (const { title, undo } of begun.toReversed()) {
    if (!undo) continue;
    const what = `undo: ${title}`;
    progress.begun(what);
    try {
      await undo();
      progress.done(what);
    } catch (error) {
      progress.failed(what, messageOf(error));
    }
  }
}
