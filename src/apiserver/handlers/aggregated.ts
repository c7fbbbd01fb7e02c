import type { AggregatedGroup } from "../discovery/resources.ts";
import { Gathering } from "../gathering/gathering.ts";
import { relay, type UpstreamAddress } from "../relay.ts";
import type { Reply } from "../reply.ts";
import { methodNotAllowed } from "../status.ts";
import type { Call } from "./call.ts";

/** A group that another server serves, or several; this one passes its requests on, as Kubernetes' aggregation layer does. */
export interface Aggregation extends AggregatedGroup {
  /** One server, to which requests are passed on as they are, or those that are there now and are only read. */
  readonly upstream: UpstreamAddress | Gathering;
}

/** Passes a request on if another server serves its group. */
export async function relayAggregated(call: Call, aggregations: readonly Aggregation[]): Promise<Reply | undefined> {
  const [, root, group, version] = call.pathname.split("/");
  if (root !== "apis" || group === undefined || version === undefined) return undefined;
  const found = aggregations.find(({ group: name, versions }) => name === group && versions.includes(version));
  if (found === undefined) return undefined;
  const query = call.query.toString();
  const path = `${call.pathname}${query === "" ? "" : `?${query}`}`;
  const { upstream } = found;
  if (upstream instanceof Gathering) {
    if (call.method !== "GET") throw methodNotAllowed();
    return upstream.answer(call, path);
  }
  await relay(call, { address: upstream, path, endless: call.query.get("watch") !== null });
  return { kind: "relayed" };
}
