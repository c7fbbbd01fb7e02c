import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { type Secret, secret } from "#api/kubernetes/secret.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { type Clock, systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { createModel } from "#model/model.ts";
import { putYaml } from "#model/testing/objects.ts";
import { JwksKeeper } from "#sources/jwks/keeper.ts";
import { KeptKeys } from "#sources/jwks/kept.ts";

const soon = { timeout: 15_000, interval: 20 };
const namespace = "istio-system";
const logger = silentLogger;

function keySet(...more: readonly object[]): string {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
  return JSON.stringify({ keys: [key, ...more] });
}

/** What of a control plane keeps keys; it may be left at any moment. */
async function controlPlane(
  client: Client,
  wanted: readonly string[],
  stack: AsyncDisposableStack,
  clock: Clock = systemClock,
) {
  const engine = new Engine();
  const model = createModel(engine);
  const rules = wanted.map((uri) => `{ issuer: a, jwksUri: "${uri}" }`).join(", ");
  putYaml(
    model,
    `{ kind: RequestAuthentication, metadata: { namespace: a, name: a }, spec: { jwtRules: [${rules}] } }`,
  );
  const kept = await KeptKeys.open({ client, namespace, clock, logger });
  const retryMs = { first: 10, longest: 20 };
  const keeper = stack.use(new JwksKeeper({ engine, model, kept, clock, logger, refreshMs: 10, retryMs }));
  const stop = new AbortController();
  const running = Promise.all([keeper.run(stop.signal), kept.run(stop.signal)]);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  return (uri: string) => model.tables.jwks.get(`uri ${uri}`);
}

test("keys of tokens outlive the control plane and an issuer that is away; others are not kept, secrets not taken", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestServer());
  const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  await createNamespace(server, "mesh", namespace);
  const [good, own] = [keySet(), keySet()];
  const { keys } = JSON.parse(own) as { readonly keys: readonly object[] };
  const other = JSON.stringify({ keys: [...keys, { kty: "oct", k: "c2VjcmV0" }] });
  let away = false;
  const issuer = createServer((request, response) => {
    if (away) response.destroy();
    else response.end(request.url === "/good" ? good : other);
  });
  await new Promise<void>((resolve) => {
    issuer.listen(0, "127.0.0.1", resolve);
  });
  stack.defer(() => void issuer.close());
  const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  const [goodUri, otherUri] = [`${url}/good`, `${url}/other`];
  const entries = async (): Promise<readonly string[]> => {
    const found = await client.of<Secret>(secret).find({ namespace, name: "weft-token-keys" });
    return Object.values(found?.data ?? {}).map((entry) => Buffer.from(entry, "base64").toString());
  };

  // Written as soon as they are fetched: this one is never told to stop while the next runs.
  const first = await controlPlane(client, [goodUri, otherUri], stack);
  await expect.poll(() => [first(goodUri)?.keys, first(otherUri)?.keys], soon).toEqual([good, own]);
  await expect.poll(async () => (await entries()).length, soon).toBe(2);
  expect((await entries()).join()).not.toContain("oct");

  away = true;
  const second = await controlPlane(client, [goodUri], stack);
  await expect.poll(() => second(goodUri), soon).toMatchObject({ keys: good, problem: expect.any(String) as string });
  await expect.poll(async () => (await entries()).length, soon).toBe(1);

  // A week after they were fetched: counted from the fetch, not from the start of the control plane.
  const dayMs = 24 * 3_600_000;
  const later = (days: number): Clock => ({ ...systemClock, now: () => Date.now() + days * dayMs });
  const almost = await controlPlane(client, [goodUri], stack, later(6.9));
  await expect.poll(() => almost(goodUri), soon).toMatchObject({ keys: good, until: expect.any(String) as string });
  const late = await controlPlane(client, [goodUri], stack, later(7.1));
  await expect.poll(() => late(goodUri)?.problem, soon).toBeDefined();
  expect(late(goodUri)?.keys).toBeUndefined();
  await expect.poll(async () => (await entries()).length, soon).toBe(0);
  away = false;
  const fourth = await controlPlane(client, [goodUri], stack);
  await expect.poll(() => fourth(goodUri)?.keys, soon).toBe(good);
  await expect.poll(async () => (await entries()).length, soon).toBe(1);
  away = true;

  const names = { namespace, name: "weft-token-keys" };
  const [entry = ""] = Object.keys((await client.of<Secret>(secret).get(names)).data ?? {});
  await client.of<Secret>(secret).patch(names, { kind: "merge", body: { data: { [entry]: "AAAA", b: "e30=" } } });
  const third = await controlPlane(client, [goodUri], stack);
  await expect.poll(() => third(goodUri)?.problem, soon).toBeDefined();
  expect(third(goodUri)?.keys).toBeUndefined();
});
