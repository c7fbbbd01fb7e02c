import { clientOf, type ExplainContext, portReasons, serviceOf } from "./context.ts";
import type { Reason, Step } from "./explanation.ts";
import { type ResolvedName, searched } from "./names.ts";
import type { ExplainedRequest } from "./request.ts";

/** What a name is that the mesh's DNS knows, and whether its service has the port. */
export function knownName(
  context: ExplainContext,
  { host, port }: ExplainedRequest,
  { name, addresses }: ResolvedName,
): Step {
  const ports = serviceOf(context, name)?.ports.map(({ number }) => number);
  const lacks = ports && !ports.includes(port) ? `; it has no port ${port}, but ${ports.join(", ")}` : "";
  const text = `${host} is ${name}, ${addresses.join(", ")}${lacks}`;
  return { name: "name", text, because: portReasons(context, name, port) };
}

/** Why the program does not see a service that there is; undefined where it sees it. */
function hidden(
  context: ExplainContext,
  host: string,
): readonly [text: string, because: readonly Reason[]] | undefined {
  const { mesh, view, cite } = context;
  const { clients, services } = mesh.model;
  if (services.keysOfHost.get(host).length === 0) return undefined;
  if (!serviceOf(context, host)) return [`there is ${host}, but it is not exported to namespace ${view.namespace}`, []];
  const client = clientOf(context);
  if (clients.serviceForHost.get({ client, host }) !== undefined) return undefined;
  const sidecar = clients.sidecar(client);
  return [`there is ${host}, but the Sidecar does not let it in`, sidecar ? [cite(sidecar.ref, "spec.egress")] : []];
}

/** What may be behind a name that the mesh's DNS does not know. */
export function unknownName(context: ExplainContext, { host, port }: ExplainedRequest): Step {
  const names = searched(host, context.view.namespace);
  const [found] = names.flatMap((name) => {
    const why = hidden(context, name);
    return why ? [why] : [];
  });
  if (found) return { name: "name", text: found[0], because: found[1] };
  const text = `the mesh's DNS does not know ${host}; the node's own may`;
  return { name: "name", text, because: portReasons(context, host, port) };
}
