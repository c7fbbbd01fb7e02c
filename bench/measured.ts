/** How a benchmark talks with a server that it forked, over IPC. */
import type { ChangeKind } from "./meshes.ts";

/** What a benchmark asks of a server that it forked. */
export type ServerRequest =
  | { readonly kind: "figures" }
  | { readonly kind: "change"; readonly change: ChangeKind; readonly generation: number }
  | { readonly kind: "stop" };

/** What it answers; `ready` comes unasked. Times are nanoseconds of the monotonic clock. */
export type ServerAnswer =
  | { readonly kind: "ready"; readonly port: number; readonly startMs: number }
  | { readonly kind: "figures"; readonly figures: Readonly<Record<string, number>> }
  | { readonly kind: "changed"; readonly at: string };

/** Answers a benchmark's requests about this process until it disconnects. */
export function serveMeasurements(
  figures: () => Readonly<Record<string, number>>,
  change: (kind: ChangeKind, generation: number) => void,
  stop: () => Promise<void>,
): void {
  const answer = (message: ServerAnswer): void => {
    process.send?.(message);
  };
  process.on("message", (request: ServerRequest) => {
    if (request.kind === "figures") answer({ kind: "figures", figures: figures() });
    else if (request.kind === "change") {
      const at = String(process.hrtime.bigint());
      change(request.change, request.generation);
      answer({ kind: "changed", at });
    } else {
      void stop().then(() => process.exit());
    }
  });
  process.on("disconnect", () => process.exit());
}
