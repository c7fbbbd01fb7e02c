import { expect, test } from "vitest";
import {
  askedOf,
  envoyAnnotation,
  type ProxyUpgrade,
  readUpgrade,
  renewAnnotation,
  upgradeMessage,
} from "./proxy-upgrade.ts";

test("a Pod asks by its annotations", () => {
  expect(askedOf(undefined)).toBeUndefined();
  expect(askedOf({ [envoyAnnotation]: "1.37.0" })).toBe("1.37.0");
  expect(askedOf({ [envoyAnnotation]: "1.37.0", [renewAnnotation]: "a" })).toBe("1.37.0+a");
  expect(askedOf({ [renewAnnotation]: "a" })).toBe("+a");
});

test("what the condition says can be read again", () => {
  const all: ProxyUpgrade[] = [
    { phase: "Starting", asked: "1.37.0", serves: "1.40.0" },
    { phase: "Upgraded", asked: "1.37.0+x", serves: "1.37.0", before: "1.40.0", tookMs: 12, connections: 3, cut: 0 },
    { phase: "Refused", asked: "9.9.9", serves: "1.40.0", problem: "no Envoy 9.9.9; it has 1.37.0;\nand more" },
  ];
  for (const each of all) expect(readUpgrade({ reason: each.phase, message: upgradeMessage(each) })).toEqual(each);
  expect(readUpgrade({ reason: "Other", message: upgradeMessage(all[0]!) })).toBeUndefined();
  expect(readUpgrade({ reason: "Upgraded", message: "something" })).toBeUndefined();
});
