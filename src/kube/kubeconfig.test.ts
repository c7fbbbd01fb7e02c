import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { formatKubeconfig, readKubeconfig } from "./kubeconfig.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-kubeconfig-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function file(content: unknown): Promise<string> {
  const path = join(folder, `${Math.random()}.yaml`);
  await writeFile(path, typeof content === "string" ? content : stringify(content));
  return path;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

const whole = {
  "current-context": "one",
  clusters: [
    {
      name: "c1",
      cluster: {
        server: "https://127.0.0.1:6443",
        "certificate-authority-data": base64("CA"),
        "tls-server-name": "api",
      },
    },
    { name: "c2", cluster: { server: "unix:///run/api.sock" } },
    {
      name: "c3",
      cluster: { server: "https://127.0.0.1:1", "insecure-skip-tls-verify": true, "certificate-authority": "" },
    },
  ],
  users: [
    { name: "u1", user: { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") } },
    { name: "u2", user: { token: "secret", tokenFile: "unused" } },
  ],
  contexts: [
    { name: "one", context: { cluster: "c1", user: "u1", namespace: "shop" } },
    { name: "two", context: { cluster: "c2", user: "u2" } },
    { name: "three", context: { cluster: "c3" } },
  ],
};

describe("reading", () => {
  test("a context with embedded certificates", async () => {
    expect(await readKubeconfig(await file(whole))).toEqual({
      name: "one",
      cluster: "c1",
      user: "u1",
      namespace: "shop",
      server: { url: "https://127.0.0.1:6443", ca: "CA", serverName: "api", certificate: "CERT", key: "KEY" },
    });
  });

  test("another context by name; a token goes before its file", async () => {
    const context = await readKubeconfig(await file(whole), "two");
    expect(context.server).toEqual({ url: "unix:///run/api.sock", token: "secret" });
    expect(context.namespace).toBe("default");
    expect((await readKubeconfig(await file(whole), "three")).server).toEqual({
      url: "https://127.0.0.1:1",
      insecure: true,
    });
  });

  test("files beside the kubeconfig", async () => {
    await writeFile(join(folder, "ca.pem"), "FILE CA");
    const path = await file({
      "current-context": "x",
      clusters: [{ name: "c", cluster: { server: "https://h", "certificate-authority": "ca.pem" } }],
      users: [{ name: "u", user: { tokenFile: "token" } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    });
    expect((await readKubeconfig(path)).server).toEqual({
      url: "https://h",
      ca: "FILE CA",
      tokenFile: join(folder, "token"),
    });
  });
});

test("what is written reads back the same, context by context", async () => {
  const path = await file(whole);
  const contexts = await Promise.all(["one", "two", "three"].map(async (name) => readKubeconfig(path, name)));
  const again = await file(
    formatKubeconfig(contexts.map((context) => ({ ...context, user: context.user || "nobody" }))),
  );
  for (const context of contexts) {
    expect(await readKubeconfig(again, context.name)).toEqual({ ...context, user: context.user || "nobody" });
  }
  expect((await readKubeconfig(again)).name).toBe("one");
});

const context = (user: string): object => ({ contexts: [{ name: "x", context: { cluster: "c", user } }] });
const cluster = { clusters: [{ name: "c", cluster: { server: "http://h" } }] };

test.each([
  ["no file", undefined, "NotFound", /nowhere cannot be read/],
  ["not YAML", "a: [", "InvalidArgument", /is not YAML/],
  ["not a mapping", "- a", "InvalidArgument", /holds no mapping/],
  ["no current context", {}, "InvalidArgument", /no current-context/],
  ["an unknown context", { "current-context": "y", ...context("u") }, "InvalidArgument", /no context "y" \(it has x\)/],
  [
    "an unknown cluster",
    { "current-context": "x", ...context("") },
    "InvalidArgument",
    /no cluster "c" \(it has none\)/,
  ],
  [
    "no server",
    { "current-context": "x", ...context(""), clusters: [{ name: "c", cluster: {} }] },
    "InvalidArgument",
    /cluster "c" has no server/,
  ],
  ["an unknown user", { "current-context": "x", ...context("u"), ...cluster }, "InvalidArgument", /no user "u"/],
  [
    "a plugin",
    { "current-context": "x", ...context("u"), ...cluster, users: [{ name: "u", user: { exec: { command: "x" } } }] },
    "Unsupported",
    /user "u" has a credential plugin/,
  ],
  [
    "a certificate without its key",
    {
      "current-context": "x",
      ...context("u"),
      ...cluster,
      users: [{ name: "u", user: { "client-certificate-data": "QQ==" } }],
    },
    "InvalidArgument",
    /without the other/,
  ],
  [
    "a number for a token",
    { "current-context": "x", ...context("u"), ...cluster, users: [{ name: "u", user: { token: 5 } }] },
    "InvalidArgument",
    /user "u".token is not text/,
  ],
  [
    "a missing authority file",
    {
      "current-context": "x",
      ...context(""),
      clusters: [{ name: "c", cluster: { server: "https://h", "certificate-authority": "none.pem" } }],
    },
    "InvalidArgument",
    /cluster "c".certificate-authority: .*none.pem/,
  ],
])("refused: %s", async (_name, content, code, message) => {
  const path = content === undefined ? join(folder, "nowhere") : await file(content);
  await expect(readKubeconfig(path)).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
  );
});
