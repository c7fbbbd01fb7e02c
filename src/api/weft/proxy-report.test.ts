import { describe, expect, test } from "vitest";
import { type ProxyReport, type ProxyWord, readProxyWord, reportText } from "./proxy-report.ts";

const report: ProxyReport = {
  agent: "1.0.0",
  envoy: "1.40.0",
  process: "Running",
  startedAt: 1,
  ready: true,
  restarts: 2,
  lastExit: { reason: "it ended with code 1", at: 3 },
  certificate: { phase: "Valid", notAfter: 4 },
  usage: { cpuMillis: 5, memoryBytes: 6 },
  traffic: {
    connections: 7,
    inbound: { requestsPerSecond: 8, errorsPerSecond: 0 },
    outbound: { requestsPerSecond: 9.5, errorsPerSecond: 0.25 },
  },
  inbound: { all: 12, failed: 3, refused: 1, within: { "0.5": 4, "10": 12 } },
  holds: { clusters: 10, listeners: 11 },
};

const bytes = (word: unknown): Buffer => Buffer.from(JSON.stringify(word));

test.each<ProxyWord>([
  { kind: "hello", node: { id: "sidecar~10.0.0.1~a.b~b.svc", cluster: "east", namespace: "b" } },
  { kind: "report", report },
  { kind: "report", report: { agent: "1", process: "Waiting", ready: false, restarts: 0, waiting: "x" } },
])("what an agent writes is read as it was", (word) => expect(readProxyWord(bytes(word))).toEqual(word));

test("what it does not know is passed over: agents may be newer", () => {
  const newer = { kind: "report", report: { ...report, later: { much: 1 } } };
  expect(readProxyWord(bytes(newer))).toEqual({ kind: "report", report });
});

describe("what is none is refused", () => {
  test.each([
    ["not JSON", Buffer.from("{"), "no JSON"],
    ["another kind", bytes({ kind: "x" }), "none of hello, report"],
    ["a number below zero", bytes({ kind: "report", report: { ...report, restarts: -1 } }), "restarts"],
    ["a number that is none", bytes({ kind: "report", report: { ...report, startedAt: "1" } }), "startedAt"],
    ["a process that is none", bytes({ kind: "report", report: { ...report, process: "Up" } }), "process is none of"],
    ["a long text", bytes({ kind: "report", report: { ...report, agent: "x".repeat(501) } }), "agent is no text"],
    ["a list for an object", bytes({ kind: "report", report: { ...report, usage: [] } }), "usage is no object"],
    [
      "a count that is none",
      bytes({ kind: "report", report: { ...report, inbound: { ...report.inbound, within: { 5: "x" } } } }),
      "5 is no number",
    ],
    ["a node without a name", bytes({ kind: "hello", node: { id: "x" } }), "cluster is no text"],
  ])("%s", (_, word, why) => expect(() => readProxyWord(word)).toThrow(why));
});

test("a long text is cut to what is taken", () => {
  const cut = reportText("x".repeat(1000));
  expect(readProxyWord(bytes({ kind: "report", report: { ...report, agent: cut } }))).toMatchObject({ kind: "report" });
});
