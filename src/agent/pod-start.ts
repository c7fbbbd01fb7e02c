import { dirname } from "node:path";
import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { codeOf } from "#base/errors.ts";
import { namespacePath } from "#runtime/namespace.ts";
import type { ProcessSpec } from "#runtime/process.ts";
import { sandboxName } from "#runtime/sandbox.ts";
import { StartRefusal } from "./container-runner.ts";
import { environmentOf, expand } from "./environment.ts";
import { hostName } from "./files.ts";
import { type AgentLayout, logBytes } from "./layout.ts";
import type { NodeContext } from "./node-context.ts";
import type { PodSite } from "./pod-site.ts";
import type { Program } from "./programs.ts";
import type { PodRecord } from "./records.ts";

/** Where the processes of a Pod of the playground are. */
export function embeddedSite(instance: string, layout: AgentLayout, pod: Pod): PodSite {
  const { uid } = pod.metadata;
  const { files } = layout.pod(uid);
  return {
    network: namespacePath(sandboxName({ instance, pod: uid })),
    hostname: hostName(pod),
    mounts: [
      { source: `${files}/resolv.conf`, target: "/etc/resolv.conf" },
      { source: `${files}/hosts`, target: "/etc/hosts" },
    ],
  };
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
    ...context.site(pod),
    logBytes,
  };
}
