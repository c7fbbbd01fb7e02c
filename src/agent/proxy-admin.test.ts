import { expect, test } from "vitest";
import { allTakePlainText } from "./proxy-admin.ts";

interface Match {
  readonly destination_port?: number;
  readonly transport_protocol?: string;
}

const dump = (...matches: readonly Match[]): string => {
  const filter_chains = matches.map((filter_chain_match) => ({ filter_chain_match }));
  return JSON.stringify({ configs: [{ active_state: { listener: { filter_chains } } }] });
};
const blackHole = { destination_port: 15_006 };
const [tls, plain] = [{ transport_protocol: "tls" }, { transport_protocol: "raw_buffer" }];

test.each<[boolean, ...(readonly Match[])]>([
  [true, blackHole, tls, plain],
  [false, blackHole, tls],
  [false, blackHole, tls, plain, { destination_port: 80, ...tls }],
  [true, blackHole, tls, plain, { destination_port: 80, ...tls }, { destination_port: 80, ...plain }],
  [false, blackHole, tls, { destination_port: 80, ...plain }],
])("all ports take plain text: %s, by the chains %j", (expected, ...matches) => {
  expect(allTakePlainText(dump(...matches))).toBe(expected);
});

test("a proxy without such a listener refuses nothing", () => {
  expect(allTakePlainText("{}")).toBe(true);
});
