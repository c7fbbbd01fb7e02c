/** Factors of the units that a quantity may end with. */
const units: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const form = /^([-+]?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|([eE][-+]?\d+))?$/;

/**
 * The number that Kubernetes' quantity stands for: `500m` is 0.5, `1Ki` is 1024; NaN for a text that is no quantity.
 * Exact enough to compare amounts, not to add them up.
 */
export function quantityValue(text: string): number {
  const [whole, amount = "", unit = "", exponent = ""] = form.exec(text) ?? [];
  if (whole === undefined) return Number.NaN;
  return exponent === "" ? Number(amount) * (units[unit] ?? Number.NaN) : Number(amount + exponent);
}
