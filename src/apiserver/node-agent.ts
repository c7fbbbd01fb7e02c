import { valueAt } from "#api/columns.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Context } from "./context.ts";
import { ApiError } from "./status.ts";

/** By this annotation of a Node its agent says on which Unix socket it answers. */
const agentSocketAnnotation = "mesh.weft.dev/agent-socket";

/**
 * The socket of the agent of a Pod's node.
 * @throws ApiError `BadRequest` while the Pod is on no node, `ServiceUnavailable` when the node's agent is not known.
 */
export async function agentSocket(context: Context, pod: ResourceObject): Promise<string> {
  const node = valueAt(pod, "spec", "nodeName");
  if (typeof node !== "string" || node === "") {
    throw new ApiError("BadRequest", `pod ${pod.metadata.name} does not have a host assigned`);
  }
  const stored = await context.store.get({
    partition: context.partition,
    resource: "nodes",
    namespace: "",
    name: node,
  });
  const socket = stored?.object.metadata.annotations?.[agentSocketAnnotation];
  if (socket !== undefined && socket !== "") return socket;
  throw new ApiError("ServiceUnavailable", `the agent of node "${node}" is not registered`);
}

/** Names of a Pod's containers, those that run first included. */
export function containerNames(pod: ResourceObject): readonly string[] {
  const { spec } = pod as Pod;
  return [...spec.containers, ...(spec.initContainers ?? [])].map(({ name }) => name);
}
