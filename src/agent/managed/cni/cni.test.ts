import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { chained, installPlugin, removePlugin } from "./install.ts";
import { type CniError, CniMailbox, type CniRequest } from "./mailbox.ts";

let root: string;
let places: { readonly programs: string; readonly configurations: string; readonly mailbox: string };
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weft-cni-"));
  places = { programs: join(root, "bin"), configurations: join(root, "net.d"), mailbox: join(root, "it's here") };
  for (const folder of [places.programs, places.configurations]) mkdirSync(folder);
  writeFileSync(join(places.configurations, "10-pods.conflist"), JSON.stringify(list));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const list = { cniVersion: "0.4.0", name: "pods", plugins: [{ type: "ptp" }, { type: "portmap" }] };
const before = { cniVersion: "0.4.0", ips: [{ address: "10.64.0.5/24" }], dns: { search: ['a}"b'] } };
const config = JSON.stringify({ cniVersion: "0.4.0", name: "pods", args: { prevResult: "{" }, prevResult: before });
const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u-1";

/** Runs the plugin as a container runtime does. */
function run(command: string, input = config): Promise<{ readonly code: number | null; readonly out: string }> {
  const env = { ...process.env, CNI_COMMAND: command, CNI_CONTAINERID: "c1", CNI_NETNS: "/x", CNI_ARGS: args };
  const child = spawn(join(places.programs, "weft-cni"), [], { env, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  return new Promise((resolve) => {
    child.once("close", (code) => resolve({ code, out }));
  });
}

async function withAgent(
  answer: (request: CniRequest) => Promise<CniError | undefined>,
  use: (mailbox: CniMailbox) => Promise<void>,
): Promise<void> {
  const end = new AbortController();
  const mailbox = new CniMailbox(places.mailbox, answer, { clock, logger });
  const running = mailbox.run(end.signal);
  try {
    await use(mailbox);
  } finally {
    end.abort();
    await running;
  }
}

describe("the plugin", () => {
  beforeEach(() => installPlugin(places));

  it("asks the agent, and answers with what the plugins before it came to", async () => {
    const asked: CniRequest[] = [];
    const answer = (request: CniRequest): Promise<undefined> => {
      asked.push(request);
      return Promise.resolve(undefined);
    };
    await withAgent(answer, async () => {
      const { code, out } = await run("ADD");
      expect({ code, out: JSON.parse(out) as unknown }).toEqual({ code: 0, out: before });
    });
    expect(asked).toEqual([{ network: "/x", namespace: "shop", pod: "web", uid: "u-1", address: "10.64.0.5" }]);
  });

  it("tells the runtime what the agent has against a Pod", async () => {
    const told: CniError = { code: 7, message: 'the annotation "x" is wrong' };
    await withAgent(
      () => Promise.resolve(told),
      async () => {
        const { code, out } = await run("ADD");
        expect(code).toBe(1);
        expect(JSON.parse(out)).toEqual({ cniVersion: "0.4.0", code: 7, msg: told.message });
      },
    );
  });

  it("without an agent fails for namespaces that were selected last, and lets others pass", async () => {
    const nothing = (): Promise<undefined> => Promise.resolve(undefined);
    await withAgent(nothing, async (mailbox) => Promise.resolve(mailbox.select(new Set(["shop", "old"]))));
    const { code, out } = await run("ADD");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ cniVersion: "0.4.0", code: 11 });
    await withAgent(nothing, async (mailbox) => Promise.resolve(mailbox.select(new Set(["other"]))));
    expect((await run("ADD")).code).toBe(0);
    for (const command of ["DEL", "CHECK", "STATUS", "GC"]) expect(await run(command)).toEqual({ code: 0, out: "" });
  });

  it("says which versions it speaks, and refuses to stand alone", async () => {
    const { supportedVersions } = JSON.parse((await run("VERSION", "{}")).out) as { supportedVersions: string[] };
    expect(supportedVersions).toContain("1.0.0");
    const { code, out } = await run("ADD", JSON.stringify({ cniVersion: "1.0.0", name: "pods" }));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ code: 7 });
  });
});

describe("the node's chain", () => {
  const path = (): string => join(places.configurations, "10-pods.conflist");

  it("gets the plugin as its last one, once, and loses nothing", () => {
    expect(installPlugin(places)).toBe(true);
    expect(JSON.parse(readFileSync(path(), "utf8"))).toEqual({
      ...list,
      plugins: [...list.plugins, { type: "weft-cni" }],
    });
    expect(installPlugin(places)).toBe(false);
    removePlugin(places);
    expect(JSON.parse(readFileSync(path(), "utf8"))).toEqual(list);
    expect(existsSync(join(places.programs, "weft-cni"))).toBe(false);
  });

  it("is made of a configuration of one plugin", () => {
    const one = { cniVersion: "0.4.0", name: "pods", type: "ptp" };
    expect(chained(one)).toEqual({ cniVersion: "0.4.0", name: "pods", plugins: [one, { type: "weft-cni" }] });
  });

  it("must be there before", () => {
    rmSync(path());
    expect(() => installPlugin(places)).toThrow(/install a network plugin first/);
  });
});
