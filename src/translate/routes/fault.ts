import type { HTTPFaultInjection } from "#api/istio/http-route.ts";
import { create } from "@bufbuild/protobuf";
import { type FaultDelay, FaultDelaySchema } from "#proto/gen/envoy/extensions/filters/common/fault/v3/fault_pb.js";
import {
  type FaultAbort,
  FaultAbortSchema,
  type HTTPFault,
  HTTPFaultSchema,
} from "#proto/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { grpcStatuses } from "#api/grpc-statuses.ts";
import { protoDuration } from "../duration.ts";
import { fractionOf, wholePercent } from "./percent.ts";

function delayOf(delay: HTTPFaultInjection["delay"]): FaultDelay | undefined {
  // `exponentialDelay` is reserved in Istio's API and not carried out there either.
  if (delay?.fixedDelay === undefined) return undefined;
  return create(FaultDelaySchema, {
    faultDelaySecifier: { case: "fixedDelay", value: protoDuration(delay.fixedDelay) },
    percentage: delay.percentage ? fractionOf(delay.percentage.value ?? 0) : wholePercent(delay.percent ?? 0),
  });
}

function errorOf(abort: NonNullable<HTTPFaultInjection["abort"]>): FaultAbort["errorType"] | undefined {
  if (abort.httpStatus !== undefined) return { case: "httpStatus", value: abort.httpStatus };
  const code = grpcStatuses.findIndex((name) => name === abort.grpcStatus);
  return code < 0 ? undefined : { case: "grpcStatus", value: code };
}

function abortOf(abort: HTTPFaultInjection["abort"]): FaultAbort | undefined {
  const errorType = abort && errorOf(abort);
  if (!errorType) return undefined;
  // Without a percentage nothing is aborted.
  return create(FaultAbortSchema, { errorType, percentage: fractionOf(abort?.percentage?.value ?? 0) });
}

/** The route's part of Envoy's fault filter; undefined when it would do nothing. */
export function httpFault(fault: HTTPFaultInjection): HTTPFault | undefined {
  const delay = delayOf(fault.delay);
  const abort = abortOf(fault.abort);
  return delay || abort ? create(HTTPFaultSchema, { delay, abort }) : undefined;
}
