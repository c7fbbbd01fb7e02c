import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { weftProgram } from "#cli/service.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { Kubectl, kubectlPath, type Outcome } from "./kubectl.ts";

const releases = JSON.parse(readFileSync("releases.json", "utf8")) as {
  kubectl: { versions: Record<string, unknown> };
};

const folder = mkdtempSync(join(tmpdir(), "weft-access-cli-"));
const stateDir = join(folder, "state", "api");
let server: ChildProcess;
let configs: ReadonlyMap<string, string>;

/** `weft credentials` for a user of the cluster. */
function credentials(url: string, user: string, ...groups: readonly string[]): string {
  const args = ["credentials", "east", "--state-dir", stateDir, "--server", url, "--user", user];
  return execFileSync(weftProgram, [...args, ...groups.flatMap((group) => ["--group", group])], { encoding: "utf8" });
}

/** Starts `weft server --secure`, and reads from its log where it listens. */
async function startServer(): Promise<string> {
  const flags = ["--store", join(folder, "state", "store.db"), "--run-dir", join(folder, "run"), "--mesh-port", "0"];
  const east = ["--embedded", "east,pods=10.10.0.0/16,services=10.110.0.0/16,port=0"];
  server = spawn(weftProgram, ["server", ...flags, ...east, "--secure"], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  server.stderr?.on("data", (chunk: Buffer) => {
    log += chunk.toString();
    const [, url] = /"endpoint":"east","addresses":\[[^\]]*"(https:[^"]+)"/.exec(log) ?? [];
    if (url !== undefined) resolve(url);
  });
  server.once("exit", () => reject(new Error(`the server ended:\n${log}`)));
  return promise;
}

beforeAll(async () => {
  const url = await startServer();
  configs = new Map([
    ["admin", credentials(url, "ada", "system:masters")],
    ["viewer", credentials(url, "bob", "dev")],
    ["nobody", credentials(url, "eve")],
    ["stranger", credentials(url, "mal").replace(/client-(certificate|key)-data: .*/g, "")],
  ]);
}, 120_000);
afterAll(async () => {
  server.kill("SIGTERM");
  await once(server, "exit");
  rmSync(folder, { recursive: true, force: true });
});

describe.each(Object.keys(releases.kubectl.versions))("kubectl %s", (version) => {
  let kubectl: Kubectl;
  const run = (who: string, text: string): Promise<Outcome> => kubectl.run(who, text.split(" "));
  beforeAll(() => {
    kubectl = new Kubectl(kubectlPath(version), configs);
  }, 120_000);
  afterAll(() => kubectl[Symbol.dispose]());

  test("an administrator may do everything", { timeout: 60_000 }, async () => {
    expect(await run("admin", "auth whoami")).toMatchObject({
      stdout: expect.stringMatching(/ada[^]*system:masters/) as string,
    });
    expect(await run("admin", "auth can-i * *")).toMatchObject({ code: 0, stdout: "yes\n" });
    expect(await run("admin", "get clusterroles,clusterrolebindings")).toMatchObject({
      stdout: expect.stringMatching(
        /role\.rbac\.authorization\.k8s\.io\/cluster-admin +\d{4}-[^]*ClusterRole\/cluster-admin/,
      ) as string,
    });
  });

  test("who shows a wrong credential, or has no right, is told so", { timeout: 60_000 }, async () => {
    expect(await run("stranger", "get pods --token=nonsense")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/(must be logged in to the server|Unauthorized)/) as string,
    });
    expect(await run("nobody", "get pods")).toMatchObject({
      code: 1,
      stderr: `Error from server (Forbidden): pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"\n`,
    });
    expect(await run("nobody", "auth can-i list pods")).toMatchObject({ code: 1, stdout: "no\n" });
  });

  test("roles made with kubectl hold at once, and auth can-i tells of them", { timeout: 60_000 }, async () => {
    const name = `v${version.replaceAll(".", "-")}`;
    expect((await run("admin", `create ns ${name}`)).code).toBe(0);
    const created = [
      `create role reader -n ${name} --verb=get,list --resource=configmaps,virtualservices.networking.istio.io`,
      `create rolebinding readers -n ${name} --role=reader --group=dev`,
      `create clusterrole pods-${name} --verb=get,list,watch --resource=pods,pods/log`,
      `create clusterrolebinding pods-${name} --clusterrole=pods-${name} --user=bob`,
      `create serviceaccount builder -n ${name}`,
      `create rolebinding builder -n ${name} --clusterrole=edit --serviceaccount=${name}:builder`,
    ];
    for (const command of created) expect(await run("admin", command)).toMatchObject({ code: 0 });
    expect(await run("viewer", `auth can-i list virtualservices -n ${name}`)).toMatchObject({ stdout: "yes\n" });
    expect(await run("viewer", `auth can-i list virtualservices -n default`)).toMatchObject({ stdout: "no\n" });
    expect(await run("viewer", `auth can-i get pods --subresource=log -A`)).toMatchObject({ stdout: "yes\n" });
    expect((await run("viewer", `auth can-i --list -n ${name}`)).stdout).toMatch(
      /^configmaps +\[\] +\[\] +\[get list\]$/m,
    );
    const account = `system:serviceaccount:${name}:builder`;
    await expect
      .poll(async () => (await run("admin", `auth can-i create services -n ${name} --as=${account}`)).stdout)
      .toBe("yes\n");
    expect(await run("viewer", `get cm -n ${name} --as=ada`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`User "bob" cannot impersonate resource "users"`) as string,
    });
    const token = (await run("admin", `create token builder -n ${name}`)).stdout.trim();
    const bearer = await run("stranger", `get cm -n ${name} --token=${token}`);
    expect([bearer.code, bearer.stderr]).toEqual([0, expect.stringContaining("")]);
    expect((await run("stranger", `auth whoami --token=${token}`)).stdout).toContain(account);
    expect(await run("viewer", `delete rolebinding readers -n ${name}`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`User "bob" cannot delete resource "rolebindings"`) as string,
    });
  });
});

test("our own client shows its certificate over the Unix socket, too", async () => {
  const path = join(folder, "node.kubeconfig");
  const socket = `unix://${join(folder, "run", "api-east.sock")}`;
  writeFileSync(path, credentials(socket, "system:node:n1", "system:nodes"), { mode: 0o600 });
  const whoami = async (file: string | undefined): Promise<unknown> => {
    const address = file === undefined ? { url: socket } : (await readKubeconfig(file)).server;
    using connection = new Connection(address, { clock: systemClock });
    const request = { method: "POST", path: "/apis/authentication.k8s.io/v1/selfsubjectreviews", body: {} } as const;
    const { status } = await new Client(connection).json<{ status: { userInfo: { username: string } } }>(request);
    return status.userInfo.username;
  };
  expect(await whoami(path)).toBe("system:node:n1");
  expect(await whoami(undefined)).toBe("system:weft:local-administrator");
});

test("flags that need --secure say so", () => {
  const flags = ["--store", join(folder, "other.db"), "--run-dir", folder, "--mesh-port", "0"];
  const run = (...more: string[]): string => {
    try {
      return execFileSync(weftProgram, ["server", ...flags, ...more], { encoding: "utf8", stdio: "pipe" });
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  };
  expect(run("--address", "0.0.0.0")).toContain("need --secure");
  expect(run("--secure", "--oidc-issuer", "https://id.example")).toContain("--oidc-client-id");
});
