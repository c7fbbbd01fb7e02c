/** Whose webhooks the control plane writes its authorities into. */
import type { ServerResponse } from "node:http";
import { expect, test, vi } from "vitest";
import { systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { answer, testServer, type SeenRequest } from "#kube/testing/http.ts";
import { WebhookKeeper } from "./keeper.ts";

interface Configuration {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels: object;
    readonly annotations?: object;
  };
  readonly webhooks: readonly {
    readonly name: string;
    readonly clientConfig: object;
    readonly failurePolicy: string;
  }[];
}

const encoded = (pem: string): string => Buffer.from(pem).toString("base64");

function configuration(name: string, webhook: string, caBundle: string | undefined, labels = {}): Configuration {
  const service = { name: "istiod", namespace: "istio-system", path: "/inject" };
  const clientConfig = { service, ...(caBundle !== undefined && { caBundle: encoded(caBundle) }) };
  return {
    metadata: { name, uid: name, resourceVersion: "1", labels: { "istio.io/rev": "default", ...labels } },
    webhooks: [{ name: webhook, clientConfig, failurePolicy: "Ignore" }],
  };
}

test("only webhooks that are this mesh's get its authorities, and fail closed once they are asked, where they are to", async () => {
  const [ours, older, theirs] = ["ours", "older", "theirs"].map((name) => createAuthority(name).certificate);
  if (ours === undefined || older === undefined || theirs === undefined) throw new Error("no authorities");
  const injector = "rev.namespace.sidecar-injector.istio.io";
  const validator = "rev.validation.istio.io";
  const weft = { "app.kubernetes.io/managed-by": "weft" };
  const made = configuration("open", validator, undefined, weft);
  const open = { ...made, metadata: { ...made.metadata, annotations: { "mesh.weft.dev/fails-open": "true" } } };
  const held: Readonly<Record<string, readonly Configuration[]>> = {
    mutatingwebhookconfigurations: [
      configuration("new", injector, undefined),
      configuration("rotated", injector, `${older}${ours}`),
      configuration("made-by-weft", injector, older, weft),
      configuration("istio", injector, theirs),
    ],
    validatingwebhookconfigurations: [
      configuration("validator", validator, undefined, weft),
      open,
      configuration("istio-validator", validator, theirs),
    ],
  };
  const patched = new Map<string, Configuration[]>();
  const respond = ({ method, url, body }: SeenRequest, response: ServerResponse): void => {
    const [plural = "", name] = url.pathname.split("/").slice(4);
    if (plural === "namespaces") {
      const message = `admission webhook "${validator}" denied the request: not valid`;
      answer(response, 400, { kind: "Status", code: 400, message });
    } else if (method === "PATCH") {
      const before = patched.get(name ?? "") ?? [];
      patched.set(name ?? "", [...before, body as Configuration]);
      answer(
        response,
        200,
        held[plural]?.find(({ metadata }) => metadata.name === name),
      );
    } else if (url.searchParams.has("watch")) {
      response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
    } else answer(response, 200, { metadata: { resourceVersion: "1" }, items: held[plural] });
  };
  await using api = await testServer(respond);
  using connection = new Connection({ url: api.url }, { clock: systemClock });
  const told: string[] = [];
  const keeper = new WebhookKeeper({
    revision: "default",
    rootNamespace: "istio-system",
    roots: () => ours,
    clock: systemClock,
    logger: jsonLogger({ level: "warn", write: (line) => told.push(line), now: () => 0 }),
  });
  const stop = new AbortController();
  const following = keeper.follow("east", new Client(connection), stop.signal);
  await vi.waitFor(() => {
    expect([...patched.keys()]).toEqual(expect.arrayContaining(["new", "rotated", "made-by-weft"]));
    expect(patched.get("validator")?.at(-1)?.webhooks[0]?.failurePolicy).toBe("Fail");
  }, 60_000);
  keeper.changed();
  await systemClock.sleep(100);
  stop.abort();
  await following;
  expect([...patched.keys()].toSorted()).toEqual(["made-by-weft", "new", "open", "rotated", "validator"]);
  // What is to fail open gets the authorities alone.
  const only = [{ name: validator, clientConfig: { caBundle: encoded(ours) } }];
  expect(patched.get("open")?.every(({ webhooks }) => JSON.stringify(webhooks) === JSON.stringify(only))).toBe(true);
  const left = told.filter((line) => line.includes("not this mesh's"));
  expect(left.map((line) => (JSON.parse(line) as { webhook: string }).webhook).toSorted()).toEqual([
    "mutatingwebhookconfigurations/istio",
    "validatingwebhookconfigurations/istio-validator",
  ]);
});
