import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { boolean, choice, definition, duration, list, map, number, object, string, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import { policyTargetsWithOne } from "./policy.ts";
import type { IstioStatus } from "./status.ts";
import { telemetryWarnings, validateTelemetry } from "./telemetry-validation.ts";

const modes = ["CLIENT_AND_SERVER", "CLIENT", "SERVER"] as const;

const mode = choice("Traffic of the workload as client, as server, or both. Both unless set.", modes);

const providers = list(
  "Who gets it, of the mesh's extension providers. The mesh's default providers unless set.",
  object("A provider.", { name: string("The provider's name.", { minLength: 1 }) }, {}),
);

const environment = object(
  "A variable of the proxy's environment.",
  { name: string("The variable's name.", { minLength: 1 }) },
  { defaultValue: string("The value where there is no such variable.") },
);

const header = object(
  "A header of the request.",
  { name: string("The header's name.", { minLength: 1 }) },
  { defaultValue: string("The value where there is no such header.") },
);

const CustomTag = object(
  "Where a tag's value comes from.",
  {},
  {
    literal: object("A fixed value.", { value: string("The value.", { minLength: 1 }) }, {}),
    environment,
    header,
    formatter: object(
      "What a command of access logs gives.",
      { value: string("The command, such as %REQ(:METHOD)%.", { minLength: 1 }) },
      {},
    ),
  },
  { oneOf: [["literal", "environment", "header", "formatter"]] },
);

export const Tracing = object(
  "Which requests are traced, and what spans tell.",
  {},
  {
    match: object("Which traffic.", {}, { mode }),
    providers,
    randomSamplingPercentage: number("Share of requests that is traced where nobody has decided yet, from 0 to 100.", {
      minimum: 0,
      maximum: 100,
    }),
    disableSpanReporting: boolean("Report no spans; the trace's context is passed on all the same."),
    disableContextPropagation: boolean("Pass no trace's context on."),
    customTags: map("Tags of spans, by name.", CustomTag),
    useRequestIdForTraceSampling: boolean("Whether the request's id decides. It does unless set."),
    enableIstioTags: boolean("Whether spans have Istio's own tags. They have unless set."),
  },
);
export type Tracing = Value<typeof Tracing>;

const TagOverride = object(
  "What becomes of a tag.",
  {},
  {
    operation: choice("UPSERT: gets the value; REMOVE: goes. UPSERT unless set.", ["UPSERT", "REMOVE"]),
    value: string("The value as an expression (CEL) over attributes, for UPSERT."),
  },
);

const MetricSelector = object(
  "Which metrics.",
  {},
  {
    metric: choice("One of Istio's metrics, or all.", [
      "ALL_METRICS",
      "REQUEST_COUNT",
      "REQUEST_DURATION",
      "REQUEST_SIZE",
      "RESPONSE_SIZE",
      "TCP_OPENED_CONNECTIONS",
      "TCP_CLOSED_CONNECTIONS",
      "TCP_SENT_BYTES",
      "TCP_RECEIVED_BYTES",
      "GRPC_REQUEST_MESSAGES",
      "GRPC_RESPONSE_MESSAGES",
    ]),
    customMetric: string("The name of another metric.", { minLength: 1 }),
    mode,
  },
  { oneOf: [["metric", "customMetric"]] },
);

export const Metrics = object(
  "Which metrics there are, and their tags.",
  {},
  {
    providers,
    overrides: list(
      "Changes of metrics, in this order.",
      object(
        "A change of metrics.",
        {},
        {
          match: MetricSelector,
          disabled: boolean("Leave the metrics out."),
          tagOverrides: map("What becomes of tags, by name.", TagOverride),
        },
      ),
    ),
    reportingInterval: duration("Time between two reports of TCP metrics, of a millisecond or more. 5s unless set."),
  },
);
export type Metrics = Value<typeof Metrics>;

export const AccessLogging = object(
  "What is logged.",
  {},
  {
    match: object("Which traffic.", {}, { mode }),
    providers,
    disabled: boolean("Log nothing."),
    filter: object(
      "Which requests and connections are logged.",
      {},
      { expression: string("An expression (CEL) over attributes, such as response.code >= 400.") },
    ),
  },
);
export type AccessLogging = Value<typeof AccessLogging>;

export const TelemetrySpec = definition(
  istioName("TelemetrySpec", "telemetry"),
  object(
    "What the proxies of some workloads tell.",
    {},
    {
      ...policyTargetsWithOne,
      tracing: list("How requests are traced; only the first entry counts.", Tracing),
      metrics: list("Which metrics there are.", Metrics),
      accessLogging: list("What is logged.", AccessLogging),
    },
  ),
);
export type TelemetrySpec = Value<typeof TelemetrySpec>;

/** Istio's `telemetry.istio.io/v1.Telemetry`. */
export type Telemetry = Resource<{ readonly spec: TelemetrySpec; readonly status?: IstioStatus }>;

export const telemetry: Kind = istioKind({
  group: "telemetry.istio.io",
  versions: [{ name: "v1" }, { name: "v1alpha1" }],
  kind: "Telemetry",
  plural: "telemetries",
  shortNames: ["telemetry"],
  description: "Metrics, traces and access logs of some workloads.",
  spec: TelemetrySpec,
  columns: [],
  validate: (object) => validateTelemetry(object as Telemetry),
  warnings: (object) => telemetryWarnings(object as Telemetry),
});
