/** The table of `bench/xds.ts`: a row for each figure, with istiod's, the target and the bare server's beside it. */
import { mebibytes, type Row } from "./figures.ts";
import type { ChangeCost, Measured } from "./measured-server.ts";
import { median, rounded } from "./quantile.ts";
import type { ChangeKind } from "./served.ts";

/**
 * What istiod (1.32 development, August 2026) took for a mesh of this size on two cores that it shared with the
 * simulator; of a range the lower end. By the number of proxies, then by the figure.
 */
const istiod: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  100: {
    "full sync: CPU s": 10.2,
    "full sync: last proxy s": 7,
    "full sync: peak MiB": 263,
    "full sync: MiB at rest": 263,
    "VirtualService: CPU ms": 1100,
    "VirtualService: P50 ms": 1000,
    "VirtualService: P99 ms": 1200,
    "VirtualService: KiB to each": 491.5,
    "endpoints: CPU ms": 50,
    "endpoints: P99 ms": 250,
  },
  1000: {
    "full sync: CPU s": 88.8,
    "full sync: last proxy s": 60.5,
    "full sync: peak MiB": 2530,
    "full sync: MiB at rest": 2530,
    "VirtualService: CPU ms": 7900,
    "VirtualService: P50 ms": 3200,
    "VirtualService: P99 ms": 5300,
    "VirtualService: KiB to each": 487.4,
    "endpoints: CPU ms": 400,
    "endpoints: P99 ms": 420,
  },
};

/** What is aimed at with 1,000 proxies. */
const targets: Readonly<Record<string, number>> = {
  "full sync: CPU s": 88.8 / 10,
  "full sync: last proxy s": 12,
  "full sync: peak MiB": 2530 / 4,
  "full sync: MiB at rest": 2530 / 6,
  "VirtualService: CPU ms": 7900 / 50,
  "VirtualService: P99 ms": 150,
  "VirtualService: KiB to each": 1,
  "endpoints: CPU ms": 400 / 4,
  "endpoints: P99 ms": 150,
};

function changeFigures(kind: ChangeKind, costs: readonly ChangeCost[]): Readonly<Record<string, number>> {
  const name = kind === "route" ? "VirtualService" : "endpoints";
  const of = (field: keyof ChangeCost): number => median(costs.map((cost) => cost[field]));
  return {
    [`${name}: CPU ms`]: of("cpuMs"),
    [`${name}: P50 ms`]: of("p50"),
    [`${name}: P99 ms`]: of("p99"),
    [`${name}: last ms`]: of("last"),
    [`${name}: KiB to each`]: of("bytes") / 1024,
    [`${name}: proxies told`]: of("reached"),
  };
}

function figuresOf({ sync, rest, changes }: Measured): Readonly<Record<string, number>> {
  return {
    "full sync: CPU s": sync.cpuMs / 1000,
    "full sync: last proxy s": sync.lastMs / 1000,
    "full sync: MiB sent": mebibytes(sync.sentBytes),
    "full sync: peak MiB": mebibytes(sync.peakBytes),
    "full sync: MiB at rest": mebibytes(rest.residentBytes),
    "at rest: CPU ms per s": rest.cpuMs,
    ...changeFigures("route", changes.route),
    ...changeFigures("endpoints", changes.endpoints),
  };
}

/** The rows for a number of proxies. */
export function rowsOf(proxies: number, measured: Readonly<Record<"weft" | "bare", Measured>>): readonly Row[] {
  const bare = figuresOf(measured.bare);
  return Object.entries(figuresOf(measured.weft)).map(([figure, weft]): Row => {
    const theirs = istiod[proxies]?.[figure];
    const target = proxies === 1000 ? targets[figure] : undefined;
    const beside = bare[figure] ?? 0;
    return {
      proxies,
      figure,
      weft: rounded(weft),
      target: target === undefined ? null : rounded(target),
      reached: target === undefined ? null : weft <= target,
      istiod: theirs ?? null,
      "istiod / weft": theirs === undefined ? null : rounded(theirs / weft),
      bare: rounded(beside),
      "weft / bare": beside > 0 ? rounded(weft / beside) : null,
    };
  });
}
