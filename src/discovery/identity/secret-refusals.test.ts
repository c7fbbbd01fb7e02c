import { expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Engine } from "#incremental/engine.ts";
import type { SecretAccount } from "#model/credentials/readers.ts";
import { createModel } from "#model/model.ts";
import { complete } from "#model/testing/objects.ts";
import { SecretRefusals } from "./secret-refusals.ts";

const pod = (name: string, serviceAccountName: string) =>
  complete({
    kind: "Pod",
    metadata: { name, namespace: "edge", labels: { istio: "ingress" } },
    spec: { serviceAccountName },
  });
const gateway = (credentialName: string) => {
  const port = { number: 443, name: "https", protocol: "HTTPS" };
  const servers = [{ port, hosts: ["a.test"], tls: { mode: "SIMPLE", credentialName } }];
  return complete({
    kind: "Gateway",
    metadata: { name: "g", namespace: "edge" },
    spec: { selector: { istio: "ingress" }, servers },
  });
};

test("accounts are asked about while a Gateway needs them, and what is said reaches the model", async () => {
  const [engine, clock, signal] = [new Engine(), new ManualClock(), new AbortController()];
  const model = createModel(engine);
  const refused = new Set(["bare"]);
  const asked: string[] = [];
  const rights = {
    isRefused: async ({ cluster, namespace, serviceAccount }: SecretAccount) => {
      asked.push(`${cluster}/${namespace}/${serviceAccount}`);
      return refused.has(serviceAccount);
    },
  };
  model.inputs.put(pod("a", "bare"), "east");
  model.inputs.put(gateway("kubernetes-gateway://edge/site"));
  using refusals = new SecretRefusals({ engine, model, rights, clock, logger: silentLogger });
  const running = refusals.run(signal.signal);
  const settle = async (ms = 0): Promise<readonly string[]> => {
    clock.advance(ms);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    const keys = ["east/edge/bare", "east/edge/allowed"];
    return keys.filter((key) => model.tables.secretRefusals.get(key));
  };
  expect(await settle()).toEqual([]);
  expect(asked).toEqual([]);
  model.inputs.put(gateway("site"));
  expect(await settle()).toEqual(["east/edge/bare"]);
  model.inputs.put(pod("b", "allowed"), "east");
  expect(await settle()).toEqual(["east/edge/bare"]);
  expect(asked).toEqual(["east/edge/bare", "east/edge/allowed"]);
  refused.clear();
  expect(await settle(5_000)).toEqual([]);
  refused.add("allowed");
  expect(await settle(5_000)).toEqual(["east/edge/allowed"]);
  model.inputs.remove("Gateway", { namespace: "edge", name: "g" });
  expect(await settle()).toEqual([]);
  const before = asked.length;
  await settle(10_000);
  expect(asked).toHaveLength(before);
  signal.abort();
  await running;
});
