/** Makes property tests repeat the same sample in each run, unless a soak asks for new ones. */
import fc from "fast-check";

const soak = process.env["WEFT_SOAK"];
fc.configureGlobal(soak === undefined ? { seed: 20_261_122 } : { numRuns: 100 * Number(soak) });
