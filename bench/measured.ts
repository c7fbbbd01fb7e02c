/** What a measured process says of itself over IPC. */
import { readFileSync, writeFileSync } from "node:fs";
import type { ChangeKind } from "./meshes.ts";

/** What a benchmark asks of a server that it forked. */
export type ServerRequest =
  | { readonly kind: "usage" }
  | { readonly kind: "resetPeak" }
  | { readonly kind: "change"; readonly change: ChangeKind; readonly generation: number }
  | { readonly kind: "stop" };

/** What it has used. */
export interface Usage {
  /** Milliseconds of CPU, user and system, since the process began. */
  readonly cpuMs: number;
  /** Bytes resident now, and most since the last reset. */
  readonly residentBytes: number;
  readonly peakBytes: number;
  /** The server's own figures. */
  readonly figures: Readonly<Record<string, number>>;
}

/** What it answers; `ready` comes unasked. Times are nanoseconds of the monotonic clock. */
export type ServerAnswer =
  | { readonly kind: "ready"; readonly port: number; readonly startMs: number }
  | { readonly kind: "usage"; readonly usage: Usage }
  | { readonly kind: "changed"; readonly at: string }
  | { readonly kind: "reset" };

function statusBytes(field: string): number {
  const line = readFileSync("/proc/self/status", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${field}:`));
  return Number(line?.match(/\d+/)?.[0] ?? 0) * 1024;
}

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
    if (request.kind === "usage") {
      const { user, system } = process.cpuUsage();
      const residentBytes = statusBytes("VmRSS");
      const peakBytes = statusBytes("VmHWM");
      answer({
        kind: "usage",
        usage: { cpuMs: (user + system) / 1000, residentBytes, peakBytes, figures: figures() },
      });
    } else if (request.kind === "resetPeak") {
      writeFileSync("/proc/self/clear_refs", "5");
      answer({ kind: "reset" });
    } else if (request.kind === "change") {
      const at = String(process.hrtime.bigint());
      change(request.change, request.generation);
      answer({ kind: "changed", at });
    } else {
      void stop().then(() => process.exit());
    }
  });
  process.on("disconnect", () => process.exit());
}
