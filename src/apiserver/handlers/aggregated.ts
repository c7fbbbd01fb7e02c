import type { AggregatedGroup } from "../discovery/resources.ts";
import { relay, type UpstreamAddress } from "../relay.ts";
import type { Call } from "./call.ts";

/** A group that another server serves; this one passes its requests on, as Kubernetes' aggregation layer does. */
export interface Aggregation extends AggregatedGroup {
  readonly upstream: UpstreamAddress;
}

/** Passes a request on if another server serves its group; tells whether it did. */
export async function relayAggregated(call: Call, aggregations: readonly Aggregation[]): Promise<boolean> {
  const [, root, group, version] = call.pathname.split("/");
  if (root !== "apis" || group === undefined || version === undefined) return false;
  const found = aggregations.find(({ group: name, versions }) => name === group && versions.includes(version));
  if (found === undefined) return false;
  const query = call.query.toString();
  const path = `${call.pathname}${query === "" ? "" : `?${query}`}`;
  await relay(call, { address: found.upstream, path, endless: call.query.get("watch") !== null });
  return true;
}
