import { adsSource } from "../config-source.ts";
import { protoDuration } from "../duration.ts";

/** What requests wait for that their proxy does not hold: virtual hosts; clusters as well, and connections for these. */
export type Asks = "hosts" | "clusters";

/** How long they wait for a cluster, and for the first look at the address of its endpoints. */
const timeout = protoDuration("15s");

/** Where clusters are asked for, as the filter for requests has it. */
export const clustersOnDemand = { source: adsSource, timeout };

/** The same as the filter for connections has it. */
export const connectionsOnDemand = { odcdsConfig: adsSource, timeout };
