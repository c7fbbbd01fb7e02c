import { expect, test } from "vitest";
import { usableCipherSuites } from "./cipher-suites.ts";

test.each([
  [
    ["AES256-SHA", "AES128-SHA", "AES256-SHA"],
    ["AES256-SHA", "AES128-SHA"],
  ],
  [["NULL-MD5", "AES256-SHA"], ["AES256-SHA"]],
  [
    ["ALL", "!AES256-SHA"],
    ["ALL", "!AES256-SHA"],
  ],
  [["[AES256-SHA|AES128-SHA]"], ["[AES256-SHA|AES128-SHA]"]],
  [["[AES256-SHA|NULL-MD5]"], []],
  [["[AES128-SHA|AES256-SHA]", "!AES256-SHA"], []],
  [["[AES128-SHA|AES256-SHA]", "+AES256-SHA"], []],
  [
    ["!AES256-SHA", "[AES128-SHA|AES256-SHA]"],
    ["!AES256-SHA", "[AES128-SHA|AES256-SHA]"],
  ],
  [["!AES256-SHA"], []],
  [["-AES256-SHA"], []],
  [["+AES256-SHA"], []],
  [["AES256-SHA", "-AES256-SHA"], []],
  [["!AES256-SHA", "AES256-SHA"], []],
  [
    ["-AES256-SHA", "AES256-SHA"],
    ["-AES256-SHA", "AES256-SHA"],
  ],
  [[], []],
])("of the suites %j proxies can use %j", (entries, usable) => {
  expect(usableCipherSuites(entries)).toEqual(usable);
});
