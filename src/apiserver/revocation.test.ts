/** What clients have shown ends, or is revoked, while something goes on by it. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import type { Credential } from "./pki/authority.ts";
import { Revocations } from "./pki/revocations.ts";
import { createNamespace } from "./testing/objects.ts";
import { startTestServer, type TestServer } from "./testing/server.ts";

const stateDir = mkdtempSync(join(tmpdir(), "weft-revocation-"));
const folder = join(stateDir, "east");
const configMaps = "/api/v1/namespaces/shop/configmaps";
const watchPath = `${configMaps}?watch=true`;
const core = "/api/v1/namespaces/shop";
/** How far the server's clock is ahead. */
let ahead = 0;
const clock: Clock = { ...systemClock, now: () => Date.now() + ahead };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ stateDir, access: {}, clock });
  await createNamespace(server, "east", "shop");
  const subjects = ["ada", "bob"].map((name) => ({ kind: "User", apiGroup: "rbac.authorization.k8s.io", name }));
  const account = { kind: "ServiceAccount", name: "reader", namespace: "shop" };
  await server.ask("east", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", {
    method: "POST",
    body: {
      metadata: { name: "view" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [...subjects, account],
    },
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(stateDir, { recursive: true, force: true });
});

function issue(user: string, ms = 3_600_000): Credential {
  const authority = server.server.authorities.get("east");
  if (!authority) throw new Error("the endpoint has no authority");
  return authority.issueClient({ name: user, groups: [] }, ms);
}

/** A client that keeps its connection, and shows a certificate or a token. */
class Client implements Disposable {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #shown: object;

  constructor(shown: Credential | { readonly token: string }) {
    this.#shown =
      "token" in shown
        ? { headers: { authorization: `Bearer ${shown.token}` } }
        : { cert: shown.certificate, key: shown.key };
  }

  async get(path: string): Promise<IncomingMessage> {
    const ca = server.server.authorities.get("east")?.certificate ?? "";
    const sent = request(server.url("east") + path, { agent: this.#agent, ca, ...this.#shown });
    sent.end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return response;
  }

  async status(): Promise<number | undefined> {
    const response = await this.get(configMaps);
    response.resume();
    await once(response, "end");
    return response.statusCode;
  }

  /** Opens a watch. Tells whether it has ended. */
  async watch(): Promise<() => boolean> {
    const response = await this.get(watchPath);
    if (response.statusCode !== 200) throw new Error(`the watch was answered with ${response.statusCode}`);
    let ended = false;
    response.on("error", () => undefined);
    response.on("close", () => (ended = true));
    response.resume();
    return () => ended;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

const soon = { timeout: 60_000 };

async function tokenOf(account: string): Promise<string> {
  await server.ask("east", `${core}/serviceaccounts`, { method: "POST", body: { metadata: { name: account } } });
  const { json } = await server.ask("east", `${core}/serviceaccounts/${account}/token`, {
    method: "POST",
    body: { spec: { expirationSeconds: 600 } },
  });
  return json.status.token as string;
}

describe("a watch", () => {
  test("ends with the certificate that was shown for it, and others go on", async () => {
    using short = new Client(issue("ada", 12_000));
    using long = new Client(issue("bob"));
    const [ended, other] = [await short.watch(), await long.watch()];
    expect(ended()).toBe(false);
    await expect.poll(ended, soon).toBe(true);
    expect(other()).toBe(false);
  });

  test("ends with its token", async () => {
    using client = new Client({ token: await tokenOf("reader") });
    using other = new Client(issue("bob"));
    const [ended, others] = [await client.watch(), await other.watch()];
    try {
      ahead = 601_000;
      await expect.poll(ended, soon).toBe(true);
    } finally {
      ahead = 0;
    }
    expect(others()).toBe(false);
  });

  test("ends when the account of its token is gone", async () => {
    using client = new Client({ token: await tokenOf("reader") });
    const ended = await client.watch();
    await server.ask("east", `${core}/serviceaccounts/reader`, { method: "DELETE" });
    await expect.poll(ended, soon).toBe(true);
    expect(await client.status()).toBe(401);
  });
});

describe("a certificate that is revoked", () => {
  test("by its number: its connections end, it is refused, also by a server that starts anew, and no other is", async () => {
    const [lost, kept] = [issue("ada"), issue("ada")];
    using client = new Client(lost);
    using other = new Client(kept);
    const [ended, others] = [await client.watch(), await other.watch()];
    const { serialNumber } = new X509Certificate(lost.certificate);
    Revocations.open(folder).add({ serial: `00:${serialNumber.toLowerCase()}` });
    expect(statSync(join(folder, "revoked.json")).mode & 0o777).toBe(0o600);
    await expect.poll(ended, soon).toBe(true);
    expect(await client.status()).toBe(401);
    expect([others(), await other.status()]).toEqual([false, 200]);
    await server.restart();
    using again = new Client(lost);
    using still = new Client(kept);
    expect([await again.status(), await still.status()]).toEqual([401, 200]);
  });

  test("by its user: all that were made until then, and none that is made later or is another's", async () => {
    using ada = new Client(issue("ada"));
    using bob = new Client(issue("bob"));
    expect([await ada.status(), await bob.status()]).toEqual([200, 200]);
    Revocations.open(folder).add({ user: "ada", until: Date.now() });
    await expect.poll(() => ada.status().catch(() => 0), soon).toBe(401);
    expect(await bob.status()).toBe(200);
    const wait = Revocations.open(folder).free("ada") - Date.now();
    expect(wait).toBeLessThanOrEqual(1000);
    await systemClock.sleep(Math.max(0, wait));
    using anew = new Client(issue("ada"));
    expect(await anew.status()).toBe(200);
  });

  test("a list that is damaged: a server that runs goes on with what it knows, and one that starts does not", async () => {
    const own = mkdtempSync(join(tmpdir(), "weft-revocation-"));
    try {
      Revocations.open(own).add({ serial: "ab" });
      const known = Revocations.open(own);
      for (const text of ["", "{}", '{"serials":[1],"users":{}}', '{"serials":[],"users":{"a":"b"}}']) {
        writeFileSync(join(own, "revoked.json"), text);
        expect(() => known.refresh()).toThrow("restore it from a copy");
        expect(known.covers({ user: "ada", serial: "AB", made: 0 })).toBe(true);
        expect(() => Revocations.open(own)).toThrow("restore it from a copy");
        expect(() => known.add({ serial: "cd" })).toThrow("restore it from a copy");
      }
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  });
});
