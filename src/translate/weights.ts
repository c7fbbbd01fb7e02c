/** Weights whose sum Envoy takes: of a route's clusters, of a locality's endpoints, and of the localities of one priority. */
const mostTotal = 2 ** 32 - 1;

/** Weights as Envoy takes them: where their sum does not fit into 32 bits, smaller ones in the same proportion. */
export function fittingWeights<W extends { readonly weight: number }>(weighted: readonly W[]): readonly W[] {
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  if (total <= mostTotal) return weighted;
  // Each is rounded down, but stays one at least.
  const room = mostTotal - weighted.length;
  return weighted.map((each) => ({ ...each, weight: Math.max(1, Math.floor((each.weight / total) * room)) }));
}
