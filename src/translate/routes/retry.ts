import type { HTTPRetry } from "#api/istio/http-route.ts";
import { STATUS_CODES } from "node:http";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  type RetryPolicy,
  type RetryPolicy_RetryHostPredicate,
  RetryPolicy_RetryHostPredicateSchema,
  type RetryPolicy_RetryPriority,
  RetryPolicy_RetryPrioritySchema,
  RetryPolicySchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { PreviousHostsPredicateSchema } from "#proto/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
import { PreviousPrioritiesConfigSchema } from "#proto/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js";
import { protoDuration } from "../duration.ts";

/** Istio's conditions and count where a route says nothing. All are safe: the request never reached the application. */
const defaultRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const defaultAttempts = 2;

/** How often Envoy looks for another host than the ones that failed. */
const hostSelectionAttempts = 5n;

/** Keeps a retry from the hosts that failed it before. */
function avoidPreviousHosts(): RetryPolicy_RetryHostPredicate {
  const value = anyPack(PreviousHostsPredicateSchema, create(PreviousHostsPredicateSchema));
  return create(RetryPolicy_RetryHostPredicateSchema, {
    name: "envoy.retry_host_predicates.previous_hosts",
    configType: { case: "typedConfig", value },
  });
}

/** Sends retries on to other localities: after two attempts in one priority, the next one's turn comes. */
function otherPriorities(): RetryPolicy_RetryPriority {
  const value = anyPack(PreviousPrioritiesConfigSchema, create(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }));
  return create(RetryPolicy_RetryPrioritySchema, {
    name: "envoy.retry_priorities.previous_priorities",
    configType: { case: "typedConfig", value },
  });
}

/** Whether a word among the conditions is a status code that HTTP knows. */
function isStatus(word: string): boolean {
  return /^\d+$/.test(word) && STATUS_CODES[word] !== undefined;
}

/** Splits Istio's `retryOn` into Envoy's conditions and the status codes that stand among them. */
function conditions(retryOn: string | undefined): {
  readonly retryOn: string;
  readonly retriableStatusCodes: number[];
} {
  if (retryOn === undefined || retryOn === "") return { retryOn: defaultRetryOn, retriableStatusCodes: [] };
  const parts = retryOn
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const retriableStatusCodes = parts.filter(isStatus).map(Number);
  const named = parts.filter((part) => !isStatus(part));
  const implied = retriableStatusCodes.length > 0 && !named.includes("retriable-status-codes");
  return { retryOn: [...named, ...(implied ? ["retriable-status-codes"] : [])].join(","), retriableStatusCodes };
}

/**
 * Envoy's retry policy.
 * @param retries the route's, or the mesh's default; undefined takes Istio's default.
 * @param hashed whether a consistent hash chooses the host: a retry must then go where the hash points.
 * @returns undefined when retries are switched off by 0 attempts.
 */
export function retryPolicy(retries: HTTPRetry | undefined, hashed: boolean): RetryPolicy | undefined {
  const attempts = retries ? (retries.attempts ?? 0) : defaultAttempts;
  if (attempts <= 0) return undefined;
  const avoid = retries?.retryIgnorePreviousHosts ?? !hashed;
  return create(RetryPolicySchema, {
    ...conditions(retries?.retryOn),
    numRetries: attempts,
    hostSelectionRetryMaxAttempts: hostSelectionAttempts,
    retryHostPredicate: avoid ? [avoidPreviousHosts()] : [],
    ...(retries?.perTryTimeout !== undefined && { perTryTimeout: protoDuration(retries.perTryTimeout) }),
    ...(retries?.retryRemoteLocalities === true && { retryPriority: otherPriorities() }),
    ...(retries?.backoff !== undefined && { retryBackOff: { baseInterval: protoDuration(retries.backoff) } }),
  });
}
