/** The mesh's authority and its rotations as an operator sees them: `weft ca`, the mesh's status, and what is wrong with a Secret. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Authority } from "#agent/certificates/authority.ts";
import { ControlPlane } from "#agent/control-plane.ts";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import { type Secret, secret } from "#api/kubernetes/secret.ts";
import { cluster } from "#api/weft/cluster.ts";
import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import { startTestServer, type TestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { opensslVerdict } from "#base/testing/openssl.ts";
import { operatorCommands } from "#cli/operator.ts";
import { secretData } from "#discovery/identity/authority-files.ts";
import { readCertificates } from "#identity/authority.ts";
import { rootId } from "#identity/path.ts";
import { defaultLifetimes } from "#identity/settings.ts";
import { pluggedAuthority } from "#identity/testing/plugged-authority.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-authority-"));
const path = (name: string): string => join(directory, name);
const stack = new AsyncDisposableStack();
let server: TestServer;
let mesh: Client;
let east: Client;

const ownSecret = { namespace: "istio-system", name: "istio-ca-secret" };
const plugged = { namespace: "istio-system", name: "cacerts" };
const patience = 60_000;

/** What a command prints. @throws what it says on standard error. */
async function weft(...args: readonly string[]): Promise<string> {
  const said: string[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => said.push(String(text)) > 0);
  const log = vi.spyOn(console, "log").mockImplementation((text) => void said.push(`${text}\n`));
  try {
    const program = new Command("weft").exitOverride().configureOutput({ writeErr: () => undefined });
    operatorCommands(program);
    await program.parseAsync([...args, "--kubeconfig", path("kubeconfig")], { from: "user" });
    return said.join("");
  } finally {
    write.mockRestore();
    log.mockRestore();
  }
}

/** The cells of a table in a text, by its header: each column begins at the same place in all of its lines. */
function cells(text: string, ...header: readonly string[]): readonly (readonly string[])[] {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.split(/ {3,}/).join() === header.join());
  if (at < 0) throw new Error(`no table with ${header.join(" ")} in\n${text}`);
  const starts = header.map((title) => lines[at]!.indexOf(title));
  const end = lines.findIndex((line, index) => index > at && line === "");
  return lines.slice(at + 1, end).map((line) => {
    for (const start of starts.slice(1)) expect(line.slice(start - 3, start).trim()).toBe("");
    return starts.map((start, index) => line.slice(start, starts[index + 1]).trim());
  });
}

const certificates = (text: string) => cells(text, "USE", "SUBJECT", "SHA-256", "NOT AFTER", "LEFT");
const rotations = (text: string) => cells(text, "ROTATION", "PHASE", "STAGE", "PROVEN", "SKIPPED", "PROXIES", "SINCE");

/** `weft ca status` once it says something. */
async function status(says: string): Promise<string> {
  return eventually(
    `weft ca status says ${says}`,
    async () => {
      const text = await weft("ca", "status");
      if (text.includes(says)) return text;
      throw new Error(text);
    },
    patience,
  );
}

async function ownCertificate(): Promise<X509Certificate> {
  const { data = {} } = await mesh.of<Secret>(secret).get(ownSecret);
  return new X509Certificate(Buffer.from(data["ca-cert.pem"] ?? "", "base64"));
}

/** The condition of the mesh that speaks of its authority. */
async function condition() {
  const { status: now } = await mesh.of<Mesh>(meshKind).get({ name: "default" });
  return now?.conditions?.find(({ type }) => type === "AuthorityReady");
}

function startControlPlane(): void {
  const nodeAccounts = [{ namespace: "istio-system", name: "weft-agent" }];
  const identity = {
    names: ["istiod.istio-system.svc"],
    authorityKey: "P-256",
    nodeAccounts,
    tokens: "keys",
    lifetimes: defaultLifetimes,
    rotationSettleMs: 100,
  } as const;
  stack.use(
    startDiscovery(
      server,
      directory,
      { xds: [{ socketPath: path("tls.sock"), tls: true }], identity },
      silentLogger,
      hastyClock(5),
    ),
  );
}

beforeAll(async () => {
  const tcp = { host: "127.0.0.1", port: 0 };
  server = stack.use(
    await startTestServer({
      endpoints: [
        { name: "mesh", view: "mesh", partition: "mesh", listen: [tcp] },
        {
          name: "east",
          view: "cluster",
          partition: "cluster/east",
          listen: [tcp, { socketPath: path("east.sock") }],
          namespaces: ["default", "istio-system", "shop"],
          accounts: [nodeAgent],
        },
      ],
    }),
  );
  const api = (endpoint: string): Client =>
    new Client(stack.use(new Connection({ url: server.url(endpoint) }, { clock: systemClock })));
  [mesh, east] = [api("mesh"), api("east")];
  const config = {
    "current-context": "mesh",
    contexts: [{ name: "mesh", context: { cluster: "mesh" } }],
    clusters: [{ name: "mesh", cluster: { server: server.url("mesh") } }],
  };
  writeFileSync(path("kubeconfig"), JSON.stringify(config));
  await mesh.of(meshKind).create({ metadata: { name: "default" }, spec: {} });
  await mesh.of(namespace).create({ metadata: { name: "istio-system" } });
  await mesh.of(cluster).create({ metadata: { name: "east" }, spec: { server: `unix://${path("east.sock")}` } });
  await east.of(node).create({ metadata: { name: "east-1" } });
  // A sidecar of Istio's own: nobody can tell what it holds.
  const labels = { app: "stock", "security.istio.io/tlsMode": "istio" };
  await east.of(pod).create({
    metadata: { namespace: "shop", name: "stock", labels, annotations: { "sidecar.istio.io/status": "{}" } },
    spec: { nodeName: "east-1", serviceAccountName: "default", containers: [{ name: "main", image: "web" }] },
  });
}, patience);

const nodeAgent = { namespace: "istio-system", name: "weft-agent" };

afterAll(async () => {
  await stack.disposeAsync();
  rmSync(directory, { recursive: true, force: true });
});

/** A certificate, as the node's agent gets it. @returns it and what leads to the root. */
async function issued(): Promise<readonly string[]> {
  const [rootsFile, tokenFile] = [path("roots.pem"), path("token")];
  const maps = east.of<ConfigMap>(configMap);
  const place = { namespace: "shop", name: "istio-ca-root-cert" };
  writeFileSync(rootsFile, (await maps.get(place)).data?.["root-cert.pem"] ?? "");
  const answer = await east.json<{ status: { token: string } }>({
    method: "POST",
    path: `/api/v1/namespaces/istio-system/serviceaccounts/weft-agent/token`,
    body: { spec: { audiences: ["istio-ca"], boundObjectRef: { apiVersion: "v1", kind: "Node", name: "east-1" } } },
  });
  writeFileSync(tokenFile, answer.status.token);
  const trust = { rootsFile, tokenFile, serverName: "istiod.istio-system.svc" };
  const plane = new ControlPlane({ address: `unix:${path("tls.sock")}`, trust, logger: silentLogger });
  using asking = new Authority({ plane, cluster: "east", ttlMs: 3_600_000, clock: systemClock });
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "default" };
  return readCertificates((await asking.issue(identity)).chain, "the chain").map(String);
}

describe("weft ca, where nobody signs", { timeout: 2 * patience }, () => {
  test("says so", async () => {
    expect(await weft("ca", "status")).toBe("No authority: no control plane of this mesh listens over TLS.\n");
    await expect(weft("ca", "status", "--mesh", "other")).rejects.toThrow('"other" not found');
  });
});

describe("weft ca", { timeout: 4 * patience }, () => {
  beforeAll(startControlPlane);

  test("shows what signs and what is trusted, in columns", async () => {
    const text = await status("Authority: istio-system/istio-ca-secret\n");
    const own = await ownCertificate();
    const left = [rootId(own), own.validToDate.toISOString().replace(".000Z", "Z"), "9y"];
    const rows = ["signs", "trusted"].map((use) => [use, "O=cluster.local", ...left]);
    expect(certificates(text)).toEqual(rows);
    expect(text).not.toContain("Trouble");
    const data = JSON.parse(await weft("ca", "status", "-o", "json")) as { authority: object; rotations: unknown[] };
    expect(data).toMatchObject({ authority: { secret: "istio-system/istio-ca-secret" }, rotations: [] });
    expect(await condition()).toMatchObject({ status: "True", reason: "Signing" });
  });

  test("says what to do where there is nothing to change, and for flags that do not go together", async () => {
    for (const change of [["abort"], ["skip", "east/shop/stock"]]) {
      await expect(weft("ca", ...change)).rejects.toThrow(
        "no rotation of the mesh's root goes on: weft ca status lists them, weft ca rotate begins one",
      );
    }
    await expect(weft("ca", "abort", "nowhere")).rejects.toThrow('"nowhere" not found');
    await expect(weft("ca", "rotate", "--secret", "a", "--key-type", "P-256")).rejects.toThrow("cannot be used with");
    await expect(weft("ca", "rotate", "--name", "bad", "--skip", "stock")).rejects.toThrow("spec.skip[0]");
  });

  test("tells of a new authority that is not there, or is none, and of rotations that wait for it", async () => {
    expect(await weft("ca", "rotate", "--name", "none", "--secret", "next")).toBe(
      "rootrotation.mesh.weft.dev/none created\n",
    );
    const missing = await status("there is no Secret istio-system/next: create it with ca-cert.pem");
    expect(rotations(missing)).toEqual([["none", "Pending", "", "", "", "", ""]]);
    const { certificate, key, chain, roots } = pluggedAuthority(directory, "next", 0);
    const place = { namespace: "istio-system", name: "next" };
    const data = secretData({ certificate, key: key.slice(40), chain, roots, revoked: "" });
    await mesh.of<Secret>(secret).create({ metadata: place, type: "Opaque", data });
    await status("InvalidAuthority: ca-key.pem is no private key in PEM");
    await expect(weft("ca", "rotate", "--name", "none")).rejects.toThrow('"none" already exists');
    // Of two of one second the name decides which comes first.
    await weft("ca", "rotate", "--name", "waits");
    await eventually("the later one is told", async () =>
      (await weft("get", "rootrotation", "waits", "-o", "yaml")).includes("the rotation none comes first"),
    );
    expect(await weft("ca", "abort", "waits")).toBe("rootrotation.mesh.weft.dev/waits goes back\n");
    expect(await weft("ca", "abort", "none", "--wait")).toContain("Aborted: it was aborted before it began");
  });

  test("shows whom a rotation waits for, leaves out whom it is told to, and follows it to its end", async () => {
    const before = await ownCertificate();
    expect(await weft("ca", "rotate", "--name", "first")).toBe("rootrotation.mesh.weft.dev/first created\n");
    const text = await status("1 of 1 proxies have not proven what the next step needs");
    expect(rotations(text).find(([name]) => name === "first")).toEqual([
      "first",
      "Rotating",
      "BothTrusted",
      "0",
      "0",
      "1",
      expect.any(String),
    ]);
    expect(cells(text, "MISSING", "WHY")).toEqual([
      ["east/shop/stock", expect.stringContaining("is not run by a Weft agent, so that nobody can tell what it holds")],
    ]);
    const roots = async () =>
      certificates(await weft("ca", "status"))
        .map(([use]) => use)
        .join(" ");
    await eventually("both roots are shown", async () => (await roots()) === "signs trusted trusted", patience);
    expect(await weft("ca", "skip", "east/shop/*")).toBe(
      "rootrotation.mesh.weft.dev/first does not wait for east/shop/*\n",
    );
    const over = await status("Completed");
    expect(rotations(over).find(([name]) => name === "first")).toEqual([
      "first",
      "Completed",
      "OldDropped",
      "0",
      "1",
      "1",
      expect.any(String),
    ]);
    expect(over).not.toContain("MISSING");
    const after = await ownCertificate();
    expect(after.fingerprint256).not.toBe(before.fingerprint256);
    const signs = async () => certificates(await weft("ca", "status"))[0]?.[2];
    await eventually("the new one is shown", async () => (await signs()) === rootId(after), patience);
    const told = await weft("ca", "rotate", "--name", "second", "--skip", "*/*/*", "--key-type", "P-384", "--wait");
    expect(told).toMatch(/Completed +OldDropped .*the new authority signs, and nobody trusts the old root\n$/);
  });
});

describe("the Secret of the authority", { timeout: 4 * patience }, () => {
  const write = async (data: Readonly<Record<string, string>>): Promise<unknown> =>
    mesh.of<Secret>(secret).patch(plugged, { kind: "merge", body: { data } });
  const findings = async (): Promise<unknown> =>
    JSON.parse(await weft("analyze", "-A", "-o", "json", "--analyzer", "mesh.AuthorityAnalyzer"));
  let roots = "";
  let good: Readonly<Record<string, string>> = {};

  test("that ends within 30 days is told of, with what to do, in the status and as a finding", async () => {
    const authority = pluggedAuthority(directory, "short", 2, { days: 10 });
    roots = (await ownCertificate()).toString() + authority.roots;
    good = secretData({ ...authority, roots });
    await mesh.of<Secret>(secret).create({ metadata: plugged, type: "Opaque", data: good });
    const text = await status("O=short, CN=Root");
    expect(text).toContain("Authority: istio-system/cacerts\n");
    const uses = certificates(text).map(([use, subject, , , left]) => [use, subject, left]);
    expect(uses).toEqual([
      ["signs", "O=short, CN=Intermediate 2", expect.stringMatching(/^(9|10)d$/)],
      ["between", "O=short, CN=Intermediate 1", expect.stringMatching(/^(9|10)d$/)],
      ["trusted", "O=cluster.local", "9y"],
      ["trusted", "O=short, CN=Root", expect.stringMatching(/^(59|60)d$/)],
    ]);
    const soon = await eventually("it is told", async () => (await condition())?.reason === "ExpiresSoon", patience);
    expect(soon).toBe(true);
    const { message, status: ready } = (await condition())!;
    expect(ready).toBe("True");
    expect(message).toMatch(
      /^the certificate of O=short, CN=Intermediate [12] \((signs|between)\) ends at .*weft ca rotate/,
    );
    expect(await findings()).toMatchObject([
      { code: "EndingAuthority", level: "Warning", message: expect.stringContaining(message) as string },
    ]);
    expect(opensslVerdict(await eventually("it is issued", issued, patience), roots)).toBe("OK");
  });

  test.each([
    [
      "no PEM",
      () => ({ "ca-cert.pem": Buffer.from("no certificate").toString("base64") }),
      "ca-cert.pem has no certificate",
    ],
    [
      "another key",
      () => ({ "ca-key.pem": secretData(pluggedAuthority(directory, "other", 0))["ca-key.pem"]! }),
      "ca-cert.pem does not belong to the key of ca-key.pem",
    ],
    [
      "a chain that has ended",
      () => secretData({ ...pluggedAuthority(directory, "ended", 1, { days: -1 }), roots }),
      "ca-cert.pem is valid from",
    ],
    [
      "a chain that leads nowhere",
      () => ({ "cert-chain.pem": "" }),
      "no valid chain leads from ca-cert.pem by cert-chain.pem to a certificate of root-cert.pem",
    ],
    [
      "other roots",
      () => secretData(pluggedAuthority(directory, "foreign", 0)),
      "write the new root beside the old one into root-cert.pem first",
    ],
  ] as const)("with %s is told of, and the last good one goes on", async (_what, broken, says) => {
    await write({ ...good, ...broken() });
    const text = await status(`Trouble: ${says.startsWith("write") ? "its roots are not those of before" : says}`);
    expect(text).toContain(says);
    expect(certificates(text)[0]?.slice(0, 2)).toEqual(["signs", "O=short, CN=Intermediate 2"]);
    const told = async () => (await condition())?.reason === "Unusable" && (await condition())?.message?.includes(says);
    await eventually("the mesh's status says it", told, patience);
    expect(opensslVerdict(await issued(), roots)).toBe("OK");
    expect(await findings()).toMatchObject([{ code: "UnusableAuthority", level: "Error" }]);
    await write(good);
    await eventually("it is good again", async () => !(await weft("ca", "status")).includes("Trouble"), patience);
  });
});
