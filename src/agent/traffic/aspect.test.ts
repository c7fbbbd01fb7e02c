import { expect, test } from "vitest";
import { hijackCondition } from "#api/kubernetes/pod-status.ts";
import { trafficAspect } from "./aspect.ts";

const older = { since: 1, ends: ["a", "b"] };
const left = "2 connections go on as they were led before";
const short = "its proxy takes the shortcut (sockmap) to others of the node";

test("what a condition tells of how a Pod's connections are led", () => {
  expect(trafficAspect({})).toBeUndefined();
  expect(trafficAspect({ mode: "none" })).toBeUndefined();
  expect(trafficAspect({ mode: "ebpf" })).toEqual({ type: hijackCondition, ok: true, reason: "EBPF" });
  expect(trafficAspect({ mode: "ebpf", sockmap: true })).toMatchObject({ ok: true, message: short });
  expect(trafficAspect({ mode: "ebpf", sockmap: true, older })).toMatchObject({ message: `${left}; ${short}` });
  // The shortcut is of the programs in the kernel: rules of iptables have none.
  expect(trafficAspect({ mode: "iptables", sockmap: true, older })).toMatchObject({
    reason: "IPTables",
    message: left,
  });
  expect(trafficAspect({ mode: "iptables", refused: { why: "no", at: 1 } })).toMatchObject({ ok: false });
});
