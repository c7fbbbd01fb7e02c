import type { ConnectionPoolSettings } from "#api/istio/common.ts";
import type { TrafficPolicy } from "#api/istio/traffic-policy.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TcpKeepalive } from "#model/mesh.ts";
import { parseDuration } from "#base/duration.ts";
import type { CircuitBreakersSchema } from "#proto/gen/envoy/config/cluster/v3/circuit_breaker_pb.js";
import type { TcpKeepaliveSchema } from "#proto/gen/envoy/config/core/v3/address_pb.js";
import { protoDuration } from "../duration.ts";

/** Envoy's defaults of a few thousand turn calls away under load; without a policy nothing is limited. */
const unlimited = 4_294_967_295;

/** A limit of the API: zero and less mean that none is set. */
function limit(value: number | undefined): number {
  return value !== undefined && value > 0 ? value : unlimited;
}

function retryBudget(budget: TrafficPolicy["retryBudget"]) {
  if (!budget) return {};
  return {
    retryBudget: {
      budgetPercent: { value: budget.percent ?? 20 },
      minRetryConcurrency: (budget.minRetryConcurrency ?? 0) > 0 ? budget.minRetryConcurrency : 3,
      ...(budget.budgetInterval !== undefined && { budgetInterval: protoDuration(budget.budgetInterval) }),
    },
  };
}

/** How much of a cluster may be under way at a time. */
export function circuitBreakers(
  pool: ConnectionPoolSettings | undefined,
  budget?: TrafficPolicy["retryBudget"],
): MessageInitShape<typeof CircuitBreakersSchema> {
  return {
    thresholds: [
      {
        maxConnections: limit(pool?.tcp?.maxConnections),
        maxPendingRequests: limit(pool?.http?.http1MaxPendingRequests),
        maxRequests: limit(pool?.http?.http2MaxRequests),
        maxRetries: limit(pool?.http?.maxRetries),
        ...retryBudget(budget),
      },
    ],
  };
}

function seconds(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Math.trunc(parseDuration(text) / 1000);
}

/** When idle connections are probed: as the policy says, else as the mesh does; undefined for never. */
export function tcpKeepalive(
  mesh: TcpKeepalive | undefined,
  own: TcpKeepalive | undefined,
): MessageInitShape<typeof TcpKeepaliveSchema> | undefined {
  if (!mesh && !own) return undefined;
  const { probes, time, interval } = { ...mesh, ...own };
  const [keepaliveTime, keepaliveInterval] = [seconds(time), seconds(interval)];
  return {
    ...(probes !== undefined && probes > 0 && { keepaliveProbes: probes }),
    ...(keepaliveTime !== undefined && { keepaliveTime }),
    ...(keepaliveInterval !== undefined && { keepaliveInterval }),
  };
}
