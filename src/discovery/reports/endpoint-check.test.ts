import { beforeEach, describe, expect, test } from "vitest";
import { setHash, wholeHash } from "#api/weft/endpoint-sets.ts";
import type { ProxyReport, ReportQuestion } from "#api/weft/proxy-report.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { endpointAddresses, endpointHashes, endpointSummary } from "#agent/reports/endpoints.ts";
import { create } from "@bufbuild/protobuf";
import { type EncodedResource, encodeResource } from "#proto/encoded.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { socketAddress } from "#translate/address.ts";
import { EndpointCheck } from "./endpoint-check.ts";

const id = "sidecar~10.0.0.1~a.b~b.svc";
const node = { id, cluster: "east", namespace: "b" };
const [one, other] = ["outbound|80||one.b.svc", "outbound|80||other.b.svc"];

function assignment(name: string, hosts: readonly string[]): EncodedResource {
  const lbEndpoints = hosts.map((host) => ({
    hostIdentifier: { case: "endpoint" as const, value: { address: socketAddress(host, 80) } },
  }));
  const message = create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: [{ lbEndpoints }] });
  return encodeResource(ClusterLoadAssignmentSchema, message, name);
}

let clock: ManualClock;
let due: Map<string, EncodedResource>;
let revision: number;
let held: Map<string, readonly string[]>;
let asked: ReportQuestion[];
let changes: number;
let check: EndpointCheck;
const view = {};

function send(name: string, ...hosts: readonly string[]): void {
  due.set(name, assignment(name, hosts));
  revision += 1;
}

/** What an agent reports of what is held now. */
function look(): void {
  const endpoints = endpointSummary(held);
  const report: ProxyReport = { agent: "1", process: "Running", ready: true, restarts: 0, endpoints };
  check.look({ node, report });
}

/** Answers what was asked, as an agent does. */
function answer(): void {
  for (const question of asked.splice(0)) {
    if (question.ask === "log" || question.ask === "nothing") continue;
    const words = question.ask === "hashes" ? endpointHashes(held) : [endpointAddresses(held, question.clusters)];
    for (const word of words) {
      if (word.kind === "hashes") check.hashes(id, word.hashes);
      else if (word.kind === "addresses") check.addresses(id, word.addresses);
    }
  }
}

function pass(ms: number): void {
  clock.advance(ms);
  look();
  answer();
  answer();
}

const verdict = (): ReturnType<EndpointCheck["verdict"]> =>
  check.verdict({
    node,
    report: { agent: "1", process: "Running", ready: true, restarts: 0, endpoints: endpointSummary(held) },
  });

beforeEach(() => {
  clock = new ManualClock();
  due = new Map();
  revision = 0;
  held = new Map();
  asked = [];
  changes = 0;
  check = new EndpointCheck({
    due: () => ({ view, revision, resources: () => due.values() }),
    ask: (_, question) => asked.push(question),
    changed: () => (changes += 1),
    clock,
    staleMs: 30_000,
  });
  send(one, "10.0.0.1", "10.0.0.2");
  send(other);
  held.set(one, ["10.0.0.2:80", "10.0.0.1:80"]);
});

describe("what Envoy holds and what it is to hold", () => {
  test("are the same in any order, and nobody is asked", () => {
    look();
    expect([verdict()?.state, asked]).toEqual(["InSync", []]);
  });

  test("may differ for a while, and are told where they do for long, with what is too much and what is missing", () => {
    send(one, "10.0.0.1", "10.0.0.3");
    pass(0);
    expect(verdict()).toMatchObject({ state: "Differs", count: 0 });
    pass(10_000);
    expect(asked).toEqual([]);
    pass(20_001);
    expect(verdict()).toMatchObject({
      state: "Stale",
      count: 1,
      stale: [{ cluster: one, surplus: ["10.0.0.2:80"], missing: ["10.0.0.3:80"] }],
    });
    expect(changes).toBeGreaterThan(0);
    held.set(one, ["10.0.0.1:80", "10.0.0.3:80"]);
    look();
    expect(verdict()?.state).toBe("InSync");
  });

  test("a cluster that changes all the time is behind for no time", () => {
    for (let at = 0; at < 10; at += 1) {
      send(one, `10.0.1.${at}`);
      pass(31_000);
    }
    expect(verdict()).toMatchObject({ state: "Differs", count: 0 });
  });

  test("a cluster that Envoy lacks altogether, and one that it has too many", () => {
    send(other, "10.0.0.9");
    held.set("outbound|80||gone.b.svc", ["10.0.0.8:80"]);
    for (let at = 0; at < 3; at += 1) pass(31_000);
    expect(verdict()?.stale.map(({ cluster, surplus, missing }) => [cluster, surplus, missing])).toEqual([
      ["outbound|80||gone.b.svc", ["10.0.0.8:80"], []],
      [other, [], ["10.0.0.9:80"]],
    ]);
  });

  test("of many clusters, in parts", () => {
    for (let at = 0; at < 2000; at += 1) {
      due.set(`c${at}`, assignment(`c${at}`, ["10.0.0.1"]));
      held.set(`c${at}`, ["10.0.0.1:80"]);
    }
    send("c1999", "10.0.0.2");
    look();
    expect(endpointHashes(held).map((word) => word.kind === "hashes" && word.hashes.part)).toEqual([
      "more",
      "more",
      "end",
    ]);
    for (let at = 0; at < 3; at += 1) pass(31_000);
    expect(verdict()).toMatchObject({ count: 1, stale: [{ cluster: "c1999" }] });
  });

  test("where the agent does not answer, it is told all the same, later", () => {
    send(one, "10.0.0.3");
    for (let at = 0; at < 5; at += 1) {
      look();
      clock.advance(31_000);
    }
    expect(verdict()).toMatchObject({ state: "Stale", stale: [] });
    check.keep(new Set());
    expect(verdict()?.state).toBe("InSync");
  });
});

test("hashes tell sets apart, not orders, and empty sets are none", () => {
  expect(setHash(["b", "a", "b"])).toBe(setHash(["a", "b"]));
  expect(setHash([])).toBe("");
  expect(
    wholeHash([
      ["x", "1"],
      ["y", ""],
    ]),
  ).toBe(wholeHash([["x", "1"]]));
  expect(wholeHash([["x", "1"]])).not.toBe(wholeHash([["y", "1"]]));
});
