import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { command } from "#runtime/command.ts";
import type { ProcessSpec } from "#runtime/process.ts";
import type { Bootstrap } from "./bootstrap.ts";
import { StartRefusal } from "./container-runner.ts";
import type { ProxyContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import { proxyBootstrap, proxyProcess } from "./proxy.ts";
import { patchedBootstrap, type ProxySettings } from "./proxy-settings.ts";
import type { ProxyRecord } from "./records.ts";

/** Milliseconds that Envoy gets to look at a bootstrap. */
const checkMs = 20_000;

/** One of the processes of a proxy. */
export interface ProxyStarted {
  /** The folder of its start. */
  readonly folder: string;
  /** Path of its program. */
  readonly program: string;
  /** How many processes before it have handed over to each other. */
  readonly epoch: number;
  readonly settings: ProxySettings | undefined;
  readonly concurrency: number;
}

/**
 * Has a build of Envoy look at a bootstrap.
 * @throws WeftError with Envoy's words when it refuses it.
 */
async function checkBootstrap(
  context: ProxyContext,
  { pod }: ProxyRecord,
  program: string,
  content: object,
): Promise<void> {
  const draft = join(context.layout.pod(pod.metadata.uid).folder, "bootstrap.json");
  writeFileSync(draft, JSON.stringify(content), { mode: 0o600 });
  const check = ["--mode", "validate", "--disable-hot-restart", "--allow-unknown-static-fields", "-l", "error"];
  await command([program, "-c", draft, ...check], { signal: AbortSignal.timeout(checkMs) });
}

/** A bootstrap that Envoy takes: patched, or as it is without the patch where Envoy would refuse it. */
async function checkedBootstrap(
  context: ProxyContext,
  record: ProxyRecord,
  { program, settings, epoch }: ProxyStarted,
  plain: Bootstrap,
): Promise<object> {
  const { patch } = settings ?? {};
  // Who takes over from another must not end while it begins.
  if (patch === undefined && epoch > 0) await checkBootstrap(context, record, program, plain);
  if (patch === undefined) return plain;
  try {
    const patched = await patchedBootstrap(plain, patch);
    await checkBootstrap(context, record, program, patched);
    return patched;
  } catch (error) {
    if (epoch > 0) throw error;
    const message = `The proxy is started without the patches of its bootstrap, since Envoy refuses them: ${messageOf(error)}`;
    context.tell(record.pod, { type: "Warning", reason: "BootstrapRefused", message: message.slice(0, 1000) });
    return plain;
  }
}

/**
 * How one of a proxy's processes is started.
 * @throws WeftError when it is to take over from another and its Envoy refuses its bootstrap.
 */
export async function proxySpec(
  context: ProxyContext,
  record: ProxyRecord,
  started: ProxyStarted,
): Promise<ProcessSpec> {
  const { options, layout } = context;
  const { pod, address, role, baseId, ipv6 = false } = record;
  const { uid } = pod.metadata;
  if (role === "none" || baseId === undefined)
    throw new StartRefusal("CreateContainerConfigError", new Error("this Pod has no proxy"));
  const { folder, program, epoch, settings, concurrency } = started;
  const config = { ...settings?.config, concurrency };
  const node = proxyNode({ pod, role, address, ipv6, agent: options, config });
  const { nameServers } = options;
  const agentAnswers = record.metrics !== undefined;
  const plain = proxyBootstrap({ node, config, agentAnswers, ...(nameServers && { nameServers }) });
  const bootstrap = await checkedBootstrap(context, record, started, plain);
  return proxyProcess({
    folder,
    notify: layout.pod(uid).changes,
    site: context.site(pod),
    proxyFolder: layout.pod(uid).proxy,
    program,
    config,
    bootstrap,
    baseId,
    epoch,
    concurrency,
  });
}

/** How a Pod's proxy is started where nothing of it runs. */
export async function proxyStart(context: ProxyContext, record: ProxyRecord, folder: string): Promise<ProcessSpec> {
  const { options, envoy } = context;
  const { settings, program } = record;
  if (program !== undefined && !existsSync(program.path)) delete record.program;
  const concurrency = settings?.config.concurrency ?? options.envoy.concurrency;
  const path = record.program?.path ?? envoy;
  const spec = await proxySpec(context, record, { folder, program: path, epoch: 0, settings, concurrency });
  if (settings) record.startedWith = settings;
  else delete record.startedWith;
  record.served = false;
  record.secrets = options.identity !== undefined;
  record.workers = concurrency;
  delete record.epoch;
  return spec;
}
