import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { complete } from "./completion.ts";
import { plainLine, screen } from "./demo/screen.ts";
import type { DemoInfo, DemoStatus } from "./demo/status.ts";
import { tableText } from "./get.ts";
import { wholeNumber } from "./output.ts";
import { resourceNamed } from "./resources.ts";
import { table } from "./table.ts";

describe("tables", () => {
  test("columns align whatever is coloured, and lines have no blanks at their end", () => {
    expect(
      table(
        ["A", "B", "C"],
        [
          ["\u001B[32mok\u001B[0m", "1", ""],
          ["longer", "22", "x"],
        ],
      ),
    ).toBe("A        B    C\n\u001B[32mok\u001B[0m       1\nlonger   22   x\n");
  });

  test("a server's table: wide columns only when asked for, a namespace where several are listed", () => {
    const answer = {
      columnDefinitions: [
        { name: "Name", type: "string", priority: 0 },
        { name: "IP", type: "string", priority: 1 },
      ],
      rows: [{ cells: ["a", null], object: { metadata: { name: "a", namespace: "shop" } } }],
    };
    expect(tableText(answer, false, false)).toBe("NAME\na\n");
    expect(tableText(answer, true, true)).toBe("NAMESPACE   NAME   IP\nshop        a      <none>\n");
  });
});

describe("completion", () => {
  const program = new Command("weft");
  program.command("get").option("-o, --output <format>").option("-A, --all").argument("<kind>");
  program.command("secret", { hidden: true });
  const group = program.command("demo").option("--name <name>");
  group.command("info");
  group.command("load");
  group.options[0]?.choices(["one", "two"]);
  const words = async (command: string): Promise<readonly string[]> =>
    Promise.resolve(command === "get" ? ["pods", "services"] : []);

  test.each([
    [[""], ["demo", "get", "help"]],
    [["g"], ["get"]],
    [
      ["get", "-"],
      ["--all", "--output"],
    ],
    [["get", "p"], ["pods"]],
    [["demo", "i"], ["info"]],
    [["demo", "--name", "t"], ["two"]],
    [["demo", "--name", "two", "l"], ["load"]],
  ])("%j gives %j", async (typed, found) => expect(await complete(program, typed, words)).toEqual(found));
});

test("bash completes the program that is typed, wherever it is", () => {
  const script = [
    "source <(./weft completion bash)",
    "COMP_WORDS=(./weft completion '')",
    "COMP_CWORD=2",
    "_weft ./weft",
    'echo "${COMPREPLY[*]}"',
  ].join("\n");
  const root = join(import.meta.dirname, "..", "..");
  // Nothing of that name is on the path.
  const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
  expect(execFileSync("bash", ["-c", script], { cwd: root, env, encoding: "utf8" })).toBe("bash fish zsh\n");
});

test("a whole number is read within its bounds only", () => {
  const read = wholeNumber(0, 10);
  expect(read("10")).toBe(10);
  for (const text of ["11", "-1", "1.5", "", "x", "0x1"]) expect(() => read(text)).toThrow("whole number from 0 to 10");
});

test("a kind is found by any of its names", () => {
  const vs = {
    group: "networking.istio.io",
    version: "v1",
    kind: "VirtualService",
    plural: "virtualservices",
    singular: "virtualservice",
    shortNames: ["vs"],
    namespaced: true,
  };
  for (const word of ["vs", "virtualservice", "VirtualServices", "VirtualService.networking.istio.io"]) {
    expect(resourceNamed([vs], word)).toBe(vs);
  }
  expect(() => resourceNamed([vs], "vs.example.com")).toThrow('no kind "vs.example.com"; it has virtualservices');
});

describe("the demonstration's status", () => {
  const info: DemoInfo = {
    gateway: "http://127.0.0.1:18080",
    kubeconfigs: { mesh: "m", east: "e", west: "w" },
    namespace: "shop",
    outsideNamespace: "weft-demo-outside",
    pid: 1,
  };
  const status: DemoStatus = {
    phase: "ready",
    step: "",
    upSeconds: 61,
    services: [
      { name: "server", pid: 2, restarts: 1 },
      { name: "discovery", pid: undefined, restarts: 0 },
    ],
    workloads: [
      { cluster: "east", namespace: "shop", name: "page", ready: 1, desired: 1 },
      { cluster: "west", namespace: "shop", name: "ratings", ready: 0, desired: 2 },
    ],
    proxies: { connected: 3, synced: 1, stale: 1, refusing: 1 },
    load: { target: 20, perSecond: 19, errorsPerSecond: 0, errors: 2, requests: 500, p50Ms: 5, p99Ms: 9 },
    events: Array.from({ length: 40 }, (_, at) => `event ${at}`),
  };
  // oxlint-disable-next-line no-control-regex -- colours are control sequences
  const plain = (text: string): string => text.replaceAll(/\u001B\[[0-9;]*m/g, "");

  test("fits the terminal, the newest events last", () => {
    const lines = plain(screen(info, status, 24)).split("\n");
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(lines.at(-1)).toBe("event 39");
    const text = lines.join("\n");
    for (const part of [
      "server (restarted 1x)",
      "1 of 3 in sync, 1 behind, 1 refusing",
      "shop/ratings",
      "0/2",
      "19 of 20 requests/s",
    ]) {
      expect(text).toContain(part);
    }
  });

  test("a terminal too small for events shows none", () => {
    expect(plain(screen(info, status, 5))).not.toContain("event");
  });

  test("says in one line what matters", () => {
    expect(plainLine(status)).toBe("1/2 workloads ready, 1/3 proxies in sync, 19 requests/s, 0 errors/s, P99 9 ms");
    expect(plainLine({ ...status, proxies: undefined, load: undefined })).toBe(
      "1/2 workloads ready, control plane away, no load",
    );
  });
});

test("a reader that has seen enough ends a command without an error", () => {
  const root = join(import.meta.dirname, "..", "..");
  const script = "set -o pipefail; ./weft --help | true";
  const done = spawnSync("bash", ["-c", script], { cwd: root, encoding: "utf8" });
  expect([done.status, done.stderr]).toEqual([0, ""]);
});
