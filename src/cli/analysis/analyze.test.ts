import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, describe, expect, test, vi } from "vitest";
import { codeOf, messageOf } from "#base/errors.ts";
import { analyzeCommand } from "./analyze.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-analyze-"));
const before = process.cwd();
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true, force: true });
});

const service = `apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  ports:
    - {name: http, port: 80}
`;
const routes = (host: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  namespace: shop
spec:
  hosts: [reviews]
  http:
    - route:
        - destination:
            host: ${host}
`;

mkdirSync(join(folder, "broken/deep"), { recursive: true });
mkdirSync(join(folder, "warned"));
for (const [name, text] of Object.entries({
  "fine.yaml": `${service}---\n${routes("reviews")}`,
  "broken/service.yml": service,
  "broken/deep/routes.yaml": routes("reviewz"),
  "broken/notes.txt": "no YAML at all: [",
  "warned/odd.yaml": `${service}---\n${routes("reviews")}    - route: [{destination: {host: reviews}}]\n`,
  "unreadable.yaml": "a: [",
})) {
  writeFileSync(join(folder, name), text);
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

/** Runs the command on files alone, in their folder. */
async function analyze(args: readonly string[]): Promise<Ran> {
  process.chdir(folder);
  const written: string[] = [];
  const said: string[] = [];
  using _out = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0);
  using _err = vi.spyOn(console, "error").mockImplementation((text) => void said.push(`${String(text)}\n`));
  const program = new Command("weft").exitOverride();
  analyzeCommand(program);
  try {
    await program.parseAsync(["analyze", "--use-kube=false", ...args], { from: "user" });
    return { code: Number(process.exitCode ?? 0), out: written.join(""), said: said.join("") };
  } catch (error) {
    return { code: codeOf(error) === "InvalidArgument" ? 2 : 1, out: written.join(""), said: messageOf(error) };
  } finally {
    process.exitCode = 0;
  }
}

const notFound =
  "Error [IST0101] (VirtualService shop/reviews broken/deep/routes.yaml:11) No service or ServiceEntry reviewz.shop.svc.cluster.local";

describe("weft analyze on files", async () => {
  test("nothing wrong", async () => {
    expect(await analyze(["fine.yaml"])).toEqual({
      code: 0,
      out: "",
      said: "✔ No validation issues found when analyzing fine.yaml.\n",
    });
  });

  test("a folder is read with all below it; an error ends with 79", async () => {
    const { code, out, said } = await analyze(["broken"]);
    expect(out).toContain(notFound);
    expect(out.trimEnd().split("\n")).toHaveLength(1);
    expect(said).toContain("Skipping file broken/notes.txt");
    expect(code).toBe(79);
  });

  test("thresholds: what is shown, and what ends with an error", async () => {
    const shown = await analyze(["warned"]);
    expect(shown.out).toContain("Warning [IST0130] (VirtualService shop/reviews warned/odd.yaml:19)");
    expect(shown.code).toBe(0);
    expect((await analyze(["warned", "--failure-threshold", "Warning"])).code).toBe(79);
    const hidden = await analyze(["warned", "--output-threshold", "error", "--failure-threshold", "info"]);
    expect(hidden.out).toBe("");
    expect(hidden.code).toBe(79);
  });

  test.each([["IST0101=VirtualService reviews.shop"], ["IST0101=VirtualService shop/*"], ["IST0101=*"]])(
    "%s leaves the message out",
    async (text) => expect(await analyze(["broken", "-S", text])).toMatchObject({ code: 0, out: "" }),
  );

  test("a suppression of another object, of another code, or of no form at all", async () => {
    expect((await analyze(["broken", "-S", "IST0101=VirtualService other.shop"])).code).toBe(79);
    const unknown = await analyze(["broken", "-S", "IST9999=VirtualService reviews.shop"]);
    expect(unknown.said).toContain("there is no message IST9999");
    expect(unknown.code).toBe(79);
    expect(await analyze(["broken", "-S", "IST0101"])).toMatchObject({ code: 2, out: "" });
  });

  test("data for programs, and no error beside it", async () => {
    const { code, out } = await analyze(["broken", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject([
      {
        code: "IST0101",
        documentationUrl: "https://istio.io/latest/docs/reference/config/analysis/ist0101/",
        level: "Error",
        origin: "VirtualService shop/reviews",
        reference: "broken/deep/routes.yaml:11",
        field: "spec.http[0].route[0].destination.host",
        line: 11,
        column: 13,
      },
    ]);
    expect(code).toBe(0);
    expect((await analyze(["broken", "-o", "yaml"])).out).toContain("- code: IST0101\n");
    expect(await analyze(["fine.yaml", "-o", "json"])).toMatchObject({ code: 0, out: "[]\n", said: "" });
  });

  test("a table", async () => {
    const { out, code } = await analyze(["broken", "-o", "table"]);
    expect(out).toMatch(
      /^LEVEL +CODE +OBJECT +CLUSTER +PLACE +MESSAGE\nError +IST0101 +VirtualService shop\/reviews +- +broken/,
    );
    expect(code).toBe(79);
  });

  test("the program itself: standard input, with an object that names no namespace, and its exit code", () => {
    const input = routes("nobody").replace("  namespace: shop\n", "");
    const program = join(import.meta.dirname, "..", "weft.ts");
    const args = [program, "analyze", "--use-kube=false", "-n", "other", "-"];
    const { status, stdout } = spawnSync(process.execPath, args, { input, encoding: "utf8" });
    expect(stdout).toContain("(VirtualService other/reviews -:10)");
    expect(status).toBe(79);
  });

  test("what cannot be read ends with 65, unless something else is wrong too, or it is to be ignored", async () => {
    const { code, out } = await analyze(["unreadable.yaml"]);
    expect(out).toContain("Error [InvalidYAML] (unreadable.yaml:");
    expect(code).toBe(65);
    expect((await analyze(["unreadable.yaml", "broken"])).code).toBe(79);
    expect((await analyze(["unreadable.yaml", "--ignore-unknown"])).code).toBe(0);
    expect(await analyze(["nowhere.yaml"])).toMatchObject({
      code: 1,
      said: expect.stringContaining("cannot read nowhere.yaml"),
    });
  });

  test("repairs: commands for what the API would take, patches of the file for what it would refuse", async () => {
    const { out, said } = await analyze(["broken", "--fix"]);
    const patch = '[{"op":"replace","path":"/spec/http/0/route/0/destination/host","value":"reviews"}]';
    expect(out).toBe(
      "# IST0101 (VirtualService shop/reviews broken/deep/routes.yaml:11) Write reviews instead of reviewz.\n" +
        `kubectl patch virtualservices.networking.istio.io reviews -n shop --type=json -p '${patch}'\n`,
    );
    expect(said).toContain("1 of 1 messages have a repair.");
    writeFileSync("refused.yaml", `${service}---\n${routes("reviews")}      tiemout: 1s\n`);
    expect((await analyze(["refused.yaml", "--fix"])).out).toBe(
      "# IST0106 (VirtualService shop/reviews refused.yaml:19) Rename spec.http[0].tiemout to timeout.\n" +
        '# In the file: [{"op":"move","from":"/spec/http/0/tiemout","path":"/spec/http/0/timeout"}]\n',
    );
  });

  test("analyzers are listed, and chosen by name", async () => {
    expect((await analyze(["-L"])).out).toMatch(/^\* \S+:\n {4}\S/);
    expect(await analyze(["broken", "--analyzer", "schema.ValidationAnalyzer"])).toMatchObject({ code: 0, out: "" });
    expect((await analyze(["broken", "--analyzer", "nobody"])).code).toBe(2);
  });

  test("without files there is nothing to look at", async () => {
    expect(await analyze([])).toMatchObject({ code: 2, said: expect.stringContaining("there must be files") });
  });
});
