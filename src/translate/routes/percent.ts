import { create } from "@bufbuild/protobuf";
import {
  type RuntimeFractionalPercent,
  RuntimeFractionalPercentSchema,
} from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType as Denominator,
  FractionalPercentSchema,
} from "#proto/gen/envoy/type/v3/percent_pb.js";

/** A percentage such as 0.1 in steps of a ten-thousandth of a percent, which is as fine as Envoy takes it. */
export function fractionOf(percent: number): FractionalPercent {
  return create(FractionalPercentSchema, { numerator: Math.round(percent * 10_000), denominator: Denominator.MILLION });
}

/** A percentage in whole percents. */
export function wholePercent(percent: number): FractionalPercent {
  return create(FractionalPercentSchema, { numerator: percent, denominator: Denominator.HUNDRED });
}

/** A fraction where Envoy would let a runtime key override it; none is named. */
export function runtimeFraction(defaultValue: FractionalPercent): RuntimeFractionalPercent {
  return create(RuntimeFractionalPercentSchema, { defaultValue });
}
