import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Kind } from "#api/kind.ts";
import { resourceName } from "#api/kind.ts";
import type { Validator } from "#api/validation.ts";
import type { ObjectKey, Partition, ResourceStore, Selection } from "#store/port.ts";
import type { ServiceAddresses } from "./admission/service-addresses.ts";
import type { Access } from "./access.ts";
import type { MergeTypes } from "./fields/merge-type.ts";
import type { MemberView } from "./members/view.ts";
import type { ServedKinds } from "./served-kinds.ts";
import type { ServiceAccountTokens } from "./tokens/service-account-tokens.ts";

/**
 * Which resources an endpoint shows: an embedded cluster's and the mesh's, the mesh's alone, or those of the mesh that member clusters
 * serve as their own.
 */
export type EndpointView = "mesh" | "cluster" | "member";

/** What a request's handlers share: one endpoint's view of the store. */
export interface Context {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly validator: Validator;
  readonly mergeTypes: MergeTypes;
  readonly endpoint: string;
  readonly view: EndpointView;
  /** Where the endpoint's own objects are kept. */
  readonly partition: Partition;
  readonly kinds: ServedKinds;
  /** Gives addresses to Services; absent where the endpoint has no range. */
  readonly addresses: ServiceAddresses | undefined;
  /** Who may do what; absent where whoever reaches the endpoint may do everything. */
  readonly access: Access | undefined;
  /** Makes and checks tokens of service accounts; absent where there are none: at the mesh's own endpoint. */
  readonly tokens: ServiceAccountTokens | undefined;
  /** The cluster whose API server passes on all requests; absent where clients call themselves. */
  readonly member?: MemberView;
}

/** The cluster whose objects an endpoint shows beside the mesh's; undefined for the mesh's own endpoint. */
export function originOf({ view, endpoint }: Pick<Context, "view" | "endpoint">): string | undefined {
  return view === "mesh" ? undefined : endpoint;
}

/** The partition of the mesh's own objects. */
const meshPartition: Partition = "mesh";

/** Where an endpoint keeps objects of a kind. */
export function partitionOf(context: Pick<Context, "partition">, kind: Kind): Partition {
  return kind.home === "mesh" ? meshPartition : context.partition;
}

/** The key of an object as an endpoint sees it. */
export function keyOf(context: Context, kind: Kind, namespace: string | undefined, name: string): ObjectKey {
  return { partition: partitionOf(context, kind), resource: resourceName(kind), namespace: namespace ?? "", name };
}

/** Objects of a kind as an endpoint sees them, in one namespace or in all. */
export function selectionOf(context: Context, kind: Kind, namespace: string | undefined): Selection {
  return {
    partition: partitionOf(context, kind),
    resource: resourceName(kind),
    ...(namespace === undefined ? {} : { namespace }),
  };
}
