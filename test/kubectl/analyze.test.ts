import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { created, createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer, type TestServer } from "#apiserver/testing/server.ts";
import { Kubectl, kubectlPath, type Outcome } from "./kubectl.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-analyze-live-"));
const endpoint = (name: string): { readonly socketPath: string } => ({ socketPath: join(folder, `${name}.sock`) });
const program = kubectlPath("1.37.1");

let server: TestServer;
let kubectl: Kubectl;

beforeAll(async () => {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  server = await startTestServer({
    endpoints: [
      { name: "mesh", view: "mesh", partition: "mesh", listen },
      ...["east", "west"].map((name, index) => {
        const serviceRange = `10.1${index + 1}0.0.0/16`;
        const all = [...listen, endpoint(name)];
        return { name, view: "cluster", partition: `cluster/${name}`, listen: all, serviceRange } as const;
      }),
    ],
  });
  kubectl = new Kubectl(program, new Map([["mesh", server.url("mesh")]]));
  for (const name of ["mesh", "east", "west"]) await createNamespace(server, name, "shop");
  for (const [index, name] of ["east", "west"].entries()) {
    const { socketPath } = endpoint(name);
    const cluster = { metadata: { name }, spec: { server: `unix://${socketPath}` } };
    await created(server, "mesh", "/apis/mesh.weft.dev/v1alpha1/clusters", cluster);
    // The ports differ, which they should not.
    const spec = { ports: [{ name: "http", port: 80, targetPort: 8080 + index }] };
    await created(server, name, "/api/v1/namespaces/shop/services", { metadata: { name: "reviews" }, spec });
  }
  const route = [{ destination: { host: "reviewz" } }];
  await created(server, "mesh", "/apis/networking.istio.io/v1/namespaces/shop/virtualservices", {
    metadata: { name: "reviews" },
    spec: { hosts: ["reviews"], http: [{ route }] },
  });
});

afterAll(async () => {
  kubectl[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command without keeping this process, which serves the API, from answering. */
async function run(file: string, args: readonly string[]): Promise<Outcome> {
  const path = `${dirname(program)}${delimiter}${process.env["PATH"] ?? ""}`;
  const env = { ...process.env, PATH: path, KUBECONFIG: kubectl.file("mesh.kubeconfig"), NO_COLOR: "1" };
  return new Promise((resolve) => {
    const child = execFile(file, args, { env, timeout: 60_000 }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}

async function analyze(...args: readonly string[]): Promise<Outcome> {
  return run(process.execPath, ["src/cli/weft.ts", "analyze", ...args]);
}

const unknownHost = "[IST0101] (VirtualService shop/reviews)";

describe("weft analyze of a live mesh", { timeout: 180_000 }, () => {
  test("tells of the objects of the mesh and of its clusters", async () => {
    const { code, stdout } = await analyze("-A");
    expect(stdout).toContain(`Error ${unknownHost} No service or ServiceEntry reviewz.shop.svc.cluster.local`);
    expect(stdout).toContain("Did you mean reviews?");
    expect(stdout).toContain(
      "Warning [IST0170] [cluster-east] (Service shop/reviews) Service shop/reviews differs between clusters east and west (ports)",
    );
    expect(code).toBe(79);
  });

  test("tells only of the namespace that is asked for", async () => {
    const { code, stderr, stdout } = await analyze("-n", "default");
    expect(stdout).toBe("");
    expect(stderr).toContain("No validation issues found when analyzing namespace default");
    expect(code).toBe(0);
  });

  test("takes the objects of files for those of the mesh, and says where they stand", async () => {
    const file = join(folder, "routes.yaml");
    const text = (host: string): string =>
      `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: reviews, namespace: shop }\nspec:\n  hosts: [reviews]\n  http:\n    - route:\n        - destination: { host: ${host} }\n`;
    writeFileSync(file, text("details"));
    expect((await analyze("-A", file)).stdout).toContain(
      `(VirtualService shop/reviews ${file}:8) No service or ServiceEntry details.`,
    );
    writeFileSync(file, text("reviews"));
    expect((await analyze("-A", file)).stdout).not.toContain("IST0101");
    writeFileSync(file, "apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: 80 }] }\n");
    const ambiguous = await analyze("-A", file);
    expect(ambiguous).toMatchObject({ code: 2, stderr: expect.stringContaining("--cluster east or west") });
    expect((await analyze("-n", "shop", "--cluster", "west", file)).stdout).toContain("[IST0118]");
  });

  test("prints a command that repairs, and kubectl takes it", async () => {
    const { stdout } = await analyze("-A", "--fix");
    const [about = "", command = "", ...more] = stdout.trimEnd().split("\n");
    expect(more).toEqual([]);
    expect(about).toBe("# IST0101 (VirtualService shop/reviews) Write reviews instead of reviewz.");
    expect(command).toMatch(/^kubectl patch virtualservices\.networking\.istio\.io reviews -n shop --type=json -p '/);
    expect(await run("bash", ["-c", command])).toMatchObject({ code: 0 });
    expect((await analyze("-A")).stdout).not.toContain("IST0101");
  });
});
