import type { LoadBalancerSettings } from "#api/istio/traffic-policy.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster_SlowStartConfigSchema,
  Cluster_LbPolicy as LbPolicy,
  type ClusterSchema,
} from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { protoDuration } from "../duration.ts";

/** How a cluster picks endpoints: members of the cluster's message. */
type Balancing = Pick<MessageInitShape<typeof ClusterSchema>, "lbPolicy" | "lbConfig">;

/** Points on a hash ring at least, Istio's default. */
const ringSize = 1024;

function slowStart(settings: LoadBalancerSettings): MessageInitShape<typeof Cluster_SlowStartConfigSchema> | undefined {
  const { warmup, warmupDurationSecs } = settings;
  if (warmup) {
    return {
      slowStartWindow: protoDuration(warmup.duration),
      // Envoy insists on a runtime key; this one is never set.
      aggression: { defaultValue: warmup.aggression ?? 1, runtimeKey: "weft.unset" },
      minWeightPercent: { value: warmup.minimumPercent ?? 10 },
    };
  }
  return warmupDurationSecs === undefined ? undefined : { slowStartWindow: protoDuration(warmupDurationSecs) };
}

function ring(minimum: number): Balancing {
  return {
    lbPolicy: LbPolicy.RING_HASH,
    lbConfig: { case: "ringHashLbConfig", value: { minimumRingSize: BigInt(minimum) } },
  };
}

function hashing(hash: NonNullable<LoadBalancerSettings["consistentHash"]>): Balancing {
  const { maglev, ringHash, minimumRingSize = 0 } = hash;
  if (maglev) {
    const { tableSize = 0 } = maglev;
    if (tableSize === 0) return { lbPolicy: LbPolicy.MAGLEV };
    return { lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: "maglevLbConfig", value: { tableSize: BigInt(tableSize) } } };
  }
  if (!ringHash) return ring(minimumRingSize === 0 ? ringSize : minimumRingSize);
  const size = ringHash.minimumRingSize ?? 0;
  return size === 0 ? { lbPolicy: LbPolicy.RING_HASH } : ring(size);
}

/** Whether clients choose the endpoint themselves: the address that they called. */
export function isPassthrough(settings: LoadBalancerSettings | undefined): boolean {
  return settings?.simple === "PASSTHROUGH";
}

/** How a cluster whose endpoints Envoy knows picks one of them; fewest active requests unless told. */
export function loadBalancing(settings: LoadBalancerSettings = {}): Balancing {
  const { consistentHash, simple } = settings;
  if (consistentHash) return hashing(consistentHash);
  if (simple === "RANDOM") return { lbPolicy: LbPolicy.RANDOM };
  if (simple === "PASSTHROUGH") return { lbPolicy: LbPolicy.CLUSTER_PROVIDED };
  const slowStartConfig = slowStart(settings);
  if (simple === "ROUND_ROBIN") {
    return {
      lbPolicy: LbPolicy.ROUND_ROBIN,
      ...(slowStartConfig && { lbConfig: { case: "roundRobinLbConfig", value: { slowStartConfig } } }),
    };
  }
  return {
    lbPolicy: LbPolicy.LEAST_REQUEST,
    ...(slowStartConfig && { lbConfig: { case: "leastRequestLbConfig", value: { slowStartConfig } } }),
  };
}
