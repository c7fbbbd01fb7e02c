import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { command } from "#runtime/command.ts";
import { namespacePath } from "#runtime/namespace.ts";
import type { Mount, ProcessSpec } from "#runtime/process.ts";
import { sandboxName } from "#runtime/sandbox.ts";
import type { Bootstrap } from "./bootstrap.ts";
import { StartRefusal } from "./container-runner.ts";
import { environmentOf, expand } from "./environment.ts";
import { hostName } from "./files.ts";
import type { NodeContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import type { Program } from "./programs.ts";
import { proxyBootstrap, proxyProcess } from "./proxy.ts";
import { patchedBootstrap } from "./proxy-settings.ts";
import type { PodRecord } from "./records.ts";

/** Size at which a container's log is put aside; at most twice that is kept. */
const logBytes = 5_000_000;

/** Milliseconds that Envoy gets to look at a bootstrap. */
const checkMs = 20_000;

/** File of a Pod's network namespace. */
export function podNetwork(context: NodeContext, pod: Pod): string {
  return namespacePath(sandboxName({ instance: context.options.instance, pod: pod.metadata.uid }));
}

function mounts(context: NodeContext, uid: string): readonly Mount[] {
  const { files } = context.layout.pod(uid);
  return [
    { source: `${files}/resolv.conf`, target: "/etc/resolv.conf" },
    { source: `${files}/hosts`, target: "/etc/hosts" },
  ];
}

/** A bootstrap that Envoy takes: patched, or as it is without the patch where Envoy would refuse it. */
async function checkedBootstrap(context: NodeContext, record: PodRecord, plain: Bootstrap): Promise<object> {
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
export async function proxyStart(context: NodeContext, record: PodRecord, folder: string): Promise<ProcessSpec> {
  const { options, layout, envoy } = context;
  const { pod, address, role, baseId } = record;
  const { uid } = pod.metadata;
  if (role === "none" || baseId === undefined)
    throw new StartRefusal("CreateContainerConfigError", new Error("this Pod has no proxy"));
  const { config = {} } = record.settings ?? {};
  const node = proxyNode({ pod, role, address, agent: options, config });
  const bootstrap = await checkedBootstrap(context, record, proxyBootstrap(node, config));
  if (record.settings) record.startedWith = record.settings;
  else delete record.startedWith;
  record.served = false;
  record.secrets = options.identity !== undefined;
  return proxyProcess({
    folder,
    notify: layout.pod(uid).changes,
    network: podNetwork(context, pod),
    proxyFolder: layout.pod(uid).proxy,
    program: envoy,
    config,
    bootstrap,
    baseId,
    concurrency: options.envoy.concurrency,
    hostname: hostName(pod),
    mounts: mounts(context, uid),
    logBytes,
  });
}

function findProgram(context: NodeContext, image: string): Program {
  try {
    return context.programs.find(image);
  } catch (error) {
    throw new StartRefusal(codeOf(error) === "NotFound" ? "ErrImagePull" : "CreateContainerConfigError", error);
  }
}

async function environment(
  context: NodeContext,
  record: PodRecord,
  container: Container,
): Promise<ReadonlyMap<string, string>> {
  const { pod, address } = record;
  const { namespace = "" } = pod.metadata;
  const base = {
    // The Node that runs the agent is the one that programs find.
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOSTNAME: hostName(pod),
  };
  try {
    return await environmentOf(pod, container, base, {
      podIp: address,
      hostIp: context.network.hostIp,
      configMap: async (name) => context.configMap(namespace, name),
      secret: async (name) => context.secret(namespace, name),
    });
  } catch (error) {
    throw new StartRefusal("CreateContainerConfigError", error);
  }
}

/**
 * How a container is started: its image's program, with `command` in place of all of it, or `args` after it.
 * @throws StartRefusal for an image that is not there, or settings that cannot be.
 */
export async function containerStart(
  context: NodeContext,
  record: PodRecord,
  container: Container,
  folder: string,
): Promise<ProcessSpec> {
  const { pod } = record;
  const program = findProgram(context, container.image ?? "");
  if ((container.volumeMounts ?? []).length > 0)
    throw new StartRefusal(
      "CreateContainerConfigError",
      new Error("nodes of this kind have no volumes: programs see the machine's files"),
    );
  const variables = await environment(context, record, container);
  const words = (list: readonly string[]): readonly string[] => list.map((word) => expand(word, variables));
  const command = container.command === undefined ? program.argv : words(container.command);
  const [first = "", ...rest] = [...command, ...words(container.args ?? [])];
  const uid = container.securityContext?.runAsUser ?? pod.spec.securityContext.runAsUser;
  return {
    folder,
    notify: context.layout.pod(pod.metadata.uid).changes,
    argv: [first, ...rest],
    env: Object.fromEntries(variables),
    cwd: container.workingDir ?? program.folder,
    ...(uid === undefined || uid === 0 ? {} : { uid }),
    network: podNetwork(context, pod),
    mounts: mounts(context, pod.metadata.uid),
    hostname: hostName(pod),
    logBytes,
  };
}
