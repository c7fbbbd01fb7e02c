/**
 * How often a property is tried: a sample in `make test`, many times that in `make soak` (which sets `WEFT_SOAK` to the
 * factor).
 */
export function runs(sample: number): number {
  return sample * Number(process.env["WEFT_SOAK"] ?? 1);
}
