import type { MemberApis } from "#apiserver/members/apis.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { followDepartures } from "#controllers/aggregation/departures.ts";
import { MemberLink } from "#controllers/aggregation/link.ts";
import { Client } from "#kube/client.ts";
import { Connection, type ServerAddress } from "#kube/connection.ts";

/** A member cluster whose API server serves the mesh's objects. */
export interface ServedCluster {
  /** The cluster's id. */
  readonly name: string;
  /** Its API. */
  readonly server: ServerAddress;
}

/** What serving a member needs. */
export interface ServingContext {
  readonly apis: MemberApis;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Serves the mesh's objects to a member, and makes good what was missed of it, until the signal aborts. */
export async function serveMember(
  { name, server }: ServedCluster,
  { apis, clock, logger }: ServingContext,
  signal: AbortSignal,
): Promise<void> {
  using connection = new Connection(server, { clock });
  const client = new Client(connection);
  const link = new MemberLink({ name, client, clock, logger });
  using served = apis.add(link);
  const settle = (namespace: string): Promise<boolean> => served.settleDeparture(namespace);
  const departures = followDepartures({ client, settle, clock, logger: logger.with({ cluster: name }) }, signal);
  await Promise.all([link.run(signal), departures]).catch((error: unknown) => {
    if (!signal.aborted) logger.error("a member is served no more", { cluster: name, error: messageOf(error) });
  });
}
