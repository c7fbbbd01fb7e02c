import type { ResourceObject } from "#api/meta.ts";
import { agentSocket, containerNames } from "../node-agent.ts";
import { flag } from "../options.ts";
import { relay } from "../relay.ts";
import type { Target } from "../registry/target.ts";
import { getStored } from "../registry/update.ts";
import type { Reply } from "../reply.ts";
import { ApiError, methodNotAllowed } from "../status.ts";
import type { Call } from "./call.ts";

/** By this annotation a Pod names the container that commands mean unless told. */
const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container";

/** The proxy that the node's agent runs beside a Pod stands in no Pod's specification; the agent knows whether there is one. */
const sidecar = "istio-proxy";

/** Options that the agent takes, as a kubelet does. */
const passedOn = new Set(["follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes"]);

function containerOf(pod: ResourceObject, asked: string | null): string {
  const names = containerNames(pod);
  const { name } = pod.metadata;
  if (asked !== null && asked !== "") {
    if (names.includes(asked) || asked === sidecar) return asked;
    throw new ApiError("BadRequest", `container ${asked} is not valid for pod ${name}`);
  }
  const chosen = pod.metadata.annotations?.[defaultContainerAnnotation];
  if (chosen !== undefined && names.includes(chosen)) return chosen;
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return only;
  throw new ApiError(
    "BadRequest",
    `a container name must be specified for pod ${name}, choose one of: [${names.join(" ")}]`,
  );
}

/** GET of a Pod's `log`: relayed from the agent of its node. */
export async function handleLog(call: Call, target: Target, name: string): Promise<Reply> {
  if (call.method !== "GET") throw methodNotAllowed(target.kind);
  const pod = (await getStored(call.context, target, name)).object;
  const container = containerOf(pod, call.query.get("container"));
  const socketPath = await agentSocket(call.context, pod);
  const query = new URLSearchParams([...call.query].filter(([option]) => passedOn.has(option)));
  const place = [pod.metadata.namespace ?? "", name, container].map(encodeURIComponent).join("/");
  const text = query.toString();
  await relay(call, {
    address: { socketPath },
    path: `/containerLogs/${place}${text === "" ? "" : `?${text}`}`,
    endless: flag(call.query, "follow"),
  });
  return { kind: "relayed" };
}
