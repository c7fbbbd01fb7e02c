/** How many times as often as in `make test` properties are tried: `make soak` says it in `WEFT_SOAK`. */
const factor = Number(process.env["WEFT_SOAK"] ?? 1);

/** How often a property is tried: a sample in `make test`, many times that in `make soak`. */
export function runs(sample: number): number {
  return sample * factor;
}

/** Milliseconds that a property may take which needs at most so many in `make test`. */
export function patience(ms: number): number {
  return ms * factor;
}
