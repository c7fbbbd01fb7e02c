import {
  boolean,
  choice,
  definition,
  described,
  int32,
  list,
  map,
  object,
  positiveDuration,
  string,
  uint32,
  type Value,
} from "../schema.ts";
import { Destination, istioName, Percent } from "./common.ts";
import { HTTPMatchRequest, StringMatch } from "./http-match.ts";

const HeaderOperations = object(
  "What is done with headers.",
  {},
  {
    set: map("Headers that get a value in place of what they have.", string("The value.")),
    add: map("Headers that get one more value.", string("The value.")),
    remove: list("Headers that are taken away.", string("A header's name.")),
  },
);
export type HeaderOperations = Value<typeof HeaderOperations>;

export const Headers = definition(
  istioName("Headers"),
  object(
    "Changes of headers.",
    {},
    {
      request: described("Before the request goes to the destination.", HeaderOperations),
      response: described("Before the response goes to the caller.", HeaderOperations),
    },
  ),
);
export type Headers = Value<typeof Headers>;

export const HTTPRouteDestination = object(
  "A destination with its share of the requests.",
  { destination: Destination },
  {
    weight: int32(
      "Share of the requests: the weight divided by the sum of all weights. A single destination needs none.",
    ),
    headers: described("Changes of headers for this destination only.", Headers),
  },
);
export type HTTPRouteDestination = Value<typeof HTTPRouteDestination>;

const Delegate = object(
  "Another VirtualService whose HTTP routes are used in this place.",
  {},
  {
    name: string("The VirtualService's name; it must have no hosts."),
    namespace: string("Its namespace. The rule's own unless set."),
  },
);

export const HTTPRedirect = object(
  "Answer with a redirection.",
  {},
  {
    uri: string("The path to send the caller to."),
    authority: string("The authority to send the caller to."),
    port: uint32("The port to send the caller to."),
    derivePort: choice("Where the port comes from: the scheme's default, or the request.", [
      "FROM_PROTOCOL_DEFAULT",
      "FROM_REQUEST_PORT",
    ]),
    scheme: string("The scheme to send the caller to, http or https."),
    redirectCode: uint32("The status of the answer: 301, 302, 303, 307 or 308. 301 unless set."),
    prefixRewrite: string("What the matched prefix of the path is replaced with."),
  },
  { oneOf: [["port", "derivePort"]] },
);
export type HTTPRedirect = Value<typeof HTTPRedirect>;

export const HTTPDirectResponse = object(
  "Answer at once, without a destination.",
  { status: uint32("The answer's HTTP status.") },
  {
    body: object(
      "The answer's body, as string or bytes. Empty unless set.",
      {},
      {
        string: string("A body of text."),
        bytes: string("A body of any bytes, in base64.", { format: "byte" }),
      },
      { oneOf: [["string", "bytes"]] },
    ),
  },
);
export type HTTPDirectResponse = Value<typeof HTTPDirectResponse>;

export const HTTPRewrite = object(
  "Changes of the request's path and authority before it goes to the destination.",
  {},
  {
    uri: string("What the path is replaced with; where the match was by prefix, only the prefix is replaced."),
    authority: string("What the authority is replaced with."),
    uriRegexRewrite: object(
      "A replacement in the path by regular expression.",
      {},
      {
        match: string("A regular expression of RE2."),
        rewrite: string("What a matching part becomes; \\1 stands for the first group."),
      },
    ),
  },
);
export type HTTPRewrite = Value<typeof HTTPRewrite>;

export const HTTPRetry = object(
  "When and how often a request is tried again.",
  {},
  {
    attempts: int32("Retries at most; 0 for none. 2 unless set."),
    perTryTimeout: positiveDuration("How long each try may take. The route's timeout unless set."),
    retryOn: string(
      "What is tried again, Envoy's conditions and HTTP statuses separated by commas. connect-failure, refused-stream, unavailable and cancelled unless set.",
    ),
    retryRemoteLocalities: boolean("Whether other localities are tried too."),
    retryIgnorePreviousHosts: boolean("Whether hosts already tried are left out. True unless set."),
    backoff: positiveDuration("Shortest time between two tries. 25ms unless set."),
  },
);
export type HTTPRetry = Value<typeof HTTPRetry>;

export const HTTPMirrorPolicy = object(
  "A destination that gets copies of requests; its answers are dropped.",
  { destination: Destination },
  { percentage: described("Share of the requests that is copied. All unless set.", Percent) },
);
export type HTTPMirrorPolicy = Value<typeof HTTPMirrorPolicy>;

export const CorsPolicy = object(
  "Which other origins browsers may call from.",
  {},
  {
    allowOrigin: list("Deprecated: use allowOrigins.", string("An origin, or *.")),
    allowOrigins: list("Origins that may call.", StringMatch),
    allowMethods: list("Methods that may be used.", string("A method.")),
    allowHeaders: list("Request headers that may be used.", string("A header's name.")),
    exposeHeaders: list("Response headers that the page may read.", string("A header's name.")),
    maxAge: positiveDuration("How long the answer to a preflight request may be kept."),
    allowCredentials: boolean("Whether requests may carry credentials."),
    unmatchedPreflights: choice("Whether preflight requests of other origins are forwarded. FORWARD unless set.", [
      "UNSPECIFIED",
      "FORWARD",
      "IGNORE",
    ]),
  },
);
export type CorsPolicy = Value<typeof CorsPolicy>;

export const HTTPFaultInjection = object(
  "Faults put in on purpose, at the caller's proxy.",
  {},
  {
    delay: object(
      "A delay before the request is forwarded.",
      {},
      {
        percent: int32("Deprecated: use percentage."),
        fixedDelay: positiveDuration("How long the request waits."),
        exponentialDelay: positiveDuration("Not implemented by Istio."),
        percentage: described("Share of the requests that is delayed. None unless set.", Percent),
      },
      { oneOf: [["fixedDelay", "exponentialDelay"]] },
    ),
    abort: object(
      "An answer in place of the destination's.",
      {},
      {
        httpStatus: int32("HTTP status of the answer."),
        grpcStatus: string("gRPC status of the answer by its name, such as UNAVAILABLE."),
        http2Error: string("Not implemented by Istio."),
        percentage: described("Share of the requests that is answered so. None unless set.", Percent),
      },
      { oneOf: [["httpStatus", "grpcStatus", "http2Error"]] },
    ),
  },
);
export type HTTPFaultInjection = Value<typeof HTTPFaultInjection>;

export const HTTPRoute = definition(
  istioName("HTTPRoute"),
  object(
    "A rule for HTTP requests: matches, and what becomes of the request.",
    {},
    {
      name: string("A name for logs."),
      match: list("Conditions, of which one must hold. Every request matches unless set.", HTTPMatchRequest),
      route: list(
        "Where requests go, by weight. One of route, redirect and directResponse is needed.",
        HTTPRouteDestination,
      ),
      redirect: HTTPRedirect,
      directResponse: HTTPDirectResponse,
      delegate: Delegate,
      rewrite: HTTPRewrite,
      timeout: positiveDuration("How long a request may take, retries included. For ever unless set."),
      retries: HTTPRetry,
      fault: HTTPFaultInjection,
      mirror: described("One more destination that gets copies of the requests.", Destination),
      mirrors: list("More destinations that get copies of the requests.", HTTPMirrorPolicy),
      mirrorPercent: uint32("Deprecated: use mirrorPercentage."),
      mirror_percent: uint32("Deprecated: use mirrorPercentage. An older spelling of mirrorPercent."),
      mirrorPercentage: described("Share of the requests that mirror gets. All unless set.", Percent),
      corsPolicy: CorsPolicy,
      headers: Headers,
    },
  ),
);
export type HTTPRoute = Value<typeof HTTPRoute>;
