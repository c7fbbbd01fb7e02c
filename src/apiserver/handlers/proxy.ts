import type { Pod } from "#api/kubernetes/pod.ts";
import { agentSocket } from "../node-agent.ts";
import { relay } from "../relay.ts";
import type { Target } from "../registry/target.ts";
import { getStored } from "../registry/update.ts";
import type { Reply } from "../reply.ts";
import { ApiError } from "../status.ts";
import type { Call } from "./call.ts";

/** What stands before `/proxy` in a path: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`. */
const proxied = /^(?:(?<scheme>https?):)?(?<name>[^:]+)(?::(?<port>\d*))?$/;

/** Any request to a Pod's `proxy`: relayed by the agent of its node to a port inside the Pod. */
export async function handleProxy(call: Call, target: Target, text: string, rest: string): Promise<Reply> {
  const { scheme = "http", name, port = "" } = proxied.exec(text)?.groups ?? {};
  if (name === undefined) throw new ApiError("BadRequest", `invalid pod request "${text}": write NAME or NAME:PORT`);
  if (scheme !== "http") throw new ApiError("BadRequest", "only http can be proxied to a Pod");
  const pod = (await getStored(call.context, target, name)).object as Pod;
  const first = pod.spec.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  const number = port === "" ? (first ?? 80) : Number(port);
  if (number < 1 || number > 65_535) throw new ApiError("BadRequest", `${port} is not a port`);
  const socketPath = await agentSocket(call.context, pod);
  const place = [pod.metadata.namespace ?? "", name].map(encodeURIComponent).join("/");
  const query = call.query.toString();
  await relay(call, {
    address: { socketPath },
    path: `/proxy/${place}/${number}${rest}${query === "" ? "" : `?${query}`}`,
  });
  return { kind: "relayed" };
}
