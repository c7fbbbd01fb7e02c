import { expect, test } from "vitest";
import { objectionsBetween, readReport, type RevisionReport } from "./revision-report.ts";

const report = (more: Partial<RevisionReport> = {}): RevisionReport => ({
  at: "2026-01-01T00:00:00.000Z",
  version: "1.1.0",
  connected: 2,
  inSync: 2,
  proxies: ["a.shop (one)", "b.shop (one)"],
  behind: [],
  findings: ["HostUnknown VirtualService shop/a"],
  findingCount: 1,
  ...more,
});

test("what is no report is none, and one is read as it was written", () => {
  for (const text of ["", "{}", "[]", '{"at": "soon", "version": "1"}', "null"])
    expect(readReport(text)).toBeUndefined();
  expect(readReport(JSON.stringify(report()))).toEqual(report());
});

test.each([
  ["nothing tells", [report()], [], ["no control plane of it tells how it stands"]],
  ["all is well", [report()], [report({ version: "1.2.0", findings: [], findingCount: 0 })], []],
  [
    "a proxy is behind",
    [report({ behind: ["a.shop (one)"] })],
    [report()],
    ["a.shop (one) has not taken what it was sent"],
  ],
  [
    "something is found anew",
    [report()],
    [report({ findings: ["HostUnknown VirtualService shop/a", "PortUnknown Gateway shop/b"], findingCount: 2 })],
    ["it would find anew: PortUnknown Gateway shop/b"],
  ],
  [
    "more is found than is told",
    [report({ findingCount: 500 })],
    [report({ findingCount: 503 })],
    ["it would find 3 more things wrong with the mesh's objects"],
  ],
  [
    "it is older",
    [report()],
    [report({ version: "1.0.9" })],
    ["its version 1.0.9 is older than 1.1.0, which serves now"],
  ],
  [
    "it is half upgraded",
    [report()],
    [report(), report({ version: "1.2.0" })],
    ["its control planes run different versions: 1.1.0, 1.2.0"],
  ],
])("objections to a move when %s", (_, from, to, expected) => {
  expect(objectionsBetween(from, to)).toEqual(expected);
});
