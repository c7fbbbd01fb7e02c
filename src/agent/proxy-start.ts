import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { command } from "#runtime/command.ts";
import type { ProcessSpec } from "#runtime/process.ts";
import type { Bootstrap } from "./bootstrap.ts";
import { StartRefusal } from "./container-runner.ts";
import type { ProxyContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import { proxyBootstrap, proxyProcess } from "./proxy.ts";
import { patchedBootstrap } from "./proxy-settings.ts";
import type { ProxyRecord } from "./records.ts";

/** Milliseconds that Envoy gets to look at a bootstrap. */
const checkMs = 20_000;

/** A bootstrap that Envoy takes: patched, or as it is without the patch where Envoy would refuse it. */
async function checkedBootstrap(context: ProxyContext, record: ProxyRecord, plain: Bootstrap): Promise<object> {
  const { patch } = record.settings ?? {};
  if (patch === undefined) return plain;
  const { uid } = record.pod.metadata;
  const draft = join(context.layout.pod(uid).folder, "bootstrap.json");
  try {
    const patched = await patchedBootstrap(plain, patch);
    writeFileSync(draft, JSON.stringify(patched), { mode: 0o600 });
    const check = ["--mode", "validate", "--disable-hot-restart", "--allow-unknown-static-fields", "-l", "error"];
    await command([context.envoy, "-c", draft, ...check], { signal: AbortSignal.timeout(checkMs) });
    return patched;
  } catch (error) {
    const message = `The proxy is started without the patches of its bootstrap, since Envoy refuses them: ${messageOf(error)}`;
    context.tell(record.pod, { type: "Warning", reason: "BootstrapRefused", message: message.slice(0, 1000) });
    return plain;
  }
}

/** How a Pod's proxy is started. */
export async function proxyStart(context: ProxyContext, record: ProxyRecord, folder: string): Promise<ProcessSpec> {
  const { options, layout, envoy } = context;
  const { pod, address, role, baseId } = record;
  const { uid } = pod.metadata;
  if (role === "none" || baseId === undefined)
    throw new StartRefusal("CreateContainerConfigError", new Error("this Pod has no proxy"));
  const { config = {} } = record.settings ?? {};
  const node = proxyNode({ pod, role, address, agent: options, config });
  const { nameServers } = options;
  const agentAnswers = record.metrics !== undefined;
  const plain = proxyBootstrap({ node, config, agentAnswers, ...(nameServers && { nameServers }) });
  const bootstrap = await checkedBootstrap(context, record, plain);
  if (record.settings) record.startedWith = record.settings;
  else delete record.startedWith;
  record.served = false;
  record.secrets = options.identity !== undefined;
  return proxyProcess({
    folder,
    notify: layout.pod(uid).changes,
    site: context.site(pod),
    proxyFolder: layout.pod(uid).proxy,
    program: envoy,
    config,
    bootstrap,
    baseId,
    concurrency: options.envoy.concurrency,
  });
}
