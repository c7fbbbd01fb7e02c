import {
  boolean,
  choice,
  definition,
  duration,
  int32,
  list,
  map,
  object,
  positiveDuration,
  string,
  uint32,
  type Value,
} from "../schema.ts";
import { istioName } from "./common.ts";

const meshName = (message: string): string => istioName(message, "mesh");

const switchedOff = (what: string) => object(`${what} It is on unless disabled.`, {}, { disabled: boolean("Off.") });
const switchedOn = (what: string) => object(`${what} It is off unless enabled.`, {}, { enabled: boolean("On.") });

const forwardClientCert = (normal: string) =>
  choice(`What becomes of the header X-Forwarded-Client-Cert. ${normal} unless set.`, [
    "UNDEFINED",
    "SANITIZE",
    "FORWARD_ONLY",
    "APPEND_FORWARD",
    "SANITIZE_SET",
    "ALWAYS_FORWARD_ONLY",
  ]);

const ProxyHeaders = definition(
  meshName("ProxyHeaders"),
  object(
    "Headers that proxies add or change.",
    {},
    {
      forwardedClientCert: forwardClientCert("Of sidecars' inbound requests: APPEND_FORWARD"),
      setCurrentClientCertDetails: object(
        "What of a client's certificate that header tells.",
        {},
        {
          subject: boolean("Its subject. Yes unless set."),
          cert: boolean("The certificate itself."),
          chain: boolean("The certificate with its whole chain."),
          dns: boolean("Its DNS names. Yes unless set."),
          uri: boolean("Its URI names. Yes unless set."),
        },
      ),
      requestId: switchedOff("X-Request-Id is made for requests without one."),
      server: object(
        "The header Server of responses.",
        {},
        { disabled: boolean("It stays as the server wrote it."), value: string("Its value. istio-envoy unless set.") },
      ),
      attemptCount: switchedOff("X-Envoy-Attempt-Count tells the server which attempt it is."),
      envoyDebugHeaders: switchedOff("Headers such as X-Envoy-Upstream-Service-Time."),
      metadataExchangeHeaders: object(
        "Headers by which proxies tell each other what they are.",
        {},
        { mode: choice("IN_MESH: only to services of the mesh.", ["UNDEFINED", "IN_MESH"]) },
      ),
      preserveHttp1HeaderCase: boolean("Names of headers of HTTP/1.1 stay as they were written."),
      xForwardedHost: switchedOn("X-Forwarded-Host has the host that a rule rewrote."),
      xForwardedPort: switchedOn("X-Forwarded-Port has the port that the client called."),
    },
  ),
);

const GatewayTopology = definition(
  meshName("Topology"),
  object(
    "What stands before gateways.",
    {},
    {
      numTrustedProxies: uint32("How many proxies before the gateway are trusted to tell the client's address."),
      forwardClientCertDetails: forwardClientCert("SANITIZE_SET"),
      proxyProtocol: object("Connections begin with a PROXY header.", {}, {}),
    },
  ),
);

const ConnectionSettings = definition(
  meshName("ConnectionSettings"),
  object(
    "How proxies treat their callers' connections.",
    {},
    {
      profile: choice("EDGE gives gateways values for callers that are not trusted. SIDECAR unless set.", [
        "SIDECAR",
        "EDGE",
      ]),
      listenerPerConnectionBufferLimitBytes: int32("Bytes that a gateway keeps of a connection.", { minimum: 0 }),
      httpIdleTimeout: duration("How long a connection may have no request."),
      httpMaxConnectionDuration: duration("How old a connection may get."),
      httpDrainTimeout: duration("Time between the two steps of ending an HTTP/2 connection."),
      httpRequestTimeout: duration("How long receiving a whole request may take."),
      httpRequestHeadersTimeout: duration("How long receiving a request's headers may take."),
      httpStreamIdleTimeout: duration("How long a request may be silent."),
      httpMaxStreamDuration: duration("How long a request with its response may take."),
      httpMaxConcurrentStreams: int32("Requests at a time on an HTTP/2 connection.", { minimum: 1 }),
      http2InitialStreamWindowSize: int32("Bytes of a request that may be on their way.", { minimum: 0 }),
      http2InitialConnectionWindowSize: int32("Bytes of a connection that may be on their way.", { minimum: 0 }),
      httpHeadersWithUnderscoresAction: choice("What becomes of headers whose name has an underscore.", [
        "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
        "HEADERS_WITH_UNDERSCORES_ALLOW",
        "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
        "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
      ]),
      httpMergeSlashes: boolean("Several slashes of a path become one."),
      httpPathWithEscapedSlashesAction: choice("What becomes of paths with %2F or %5C.", [
        "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
      ]),
    },
  ),
);

const StatsMatcher = object(
  "Statistics that proxies keep beside those that they always keep.",
  {},
  {
    inclusionPrefixes: list("Beginnings of names.", string("A beginning.")),
    inclusionSuffixes: list("Ends of names.", string("An end.")),
    inclusionRegexps: list("Expressions that fit names.", string("An expression.")),
  },
);

/**
 * Istio's `mesh.v1alpha1.ProxyConfig`, as far as Weft carries it out: `defaultConfig` of a MeshConfig, and the annotation
 * `proxy.istio.io/config` of a Pod.
 */
export const MeshProxyConfig = definition(
  meshName("ProxyConfig"),
  object(
    "How proxies are started, and what they do with every request.",
    {},
    {
      concurrency: int32("Worker threads. By the processors that it may use unless set; 0 for all of the machine.", {
        minimum: 0,
      }),
      drainDuration: positiveDuration("How long connections get to end when a proxy is replaced. 45s unless set."),
      terminationDrainDuration: duration("How long they get when its workload ends. 5s unless set."),
      holdApplicationUntilProxyStarts: boolean("Whether a Pod's containers wait until its proxy is ready."),
      interceptionMode: choice("How calls of a workload come to its proxy. REDIRECT unless set.", [
        "REDIRECT",
        "TPROXY",
        "NONE",
      ]),
      serviceCluster: string("What a proxy calls its workload. By the label app and the namespace unless set."),
      tracingServiceName: choice("The same, by a rule.", [
        "APP_LABEL_AND_NAMESPACE",
        "CANONICAL_NAME_ONLY",
        "CANONICAL_NAME_AND_NAMESPACE",
      ]),
      proxyMetadata: map(
        "Variables of the proxy's environment. Those that begin with ISTIO_META_ become its metadata, too.",
        string("The variable's value."),
      ),
      runtimeValues: map(
        "Values of Envoy's runtime.",
        string("The value; an empty one takes away what is set by itself."),
      ),
      proxyStatsMatcher: StatsMatcher,
      extraStatTags: list("Not used any more.", string("A tag.")),
      fileFlushInterval: positiveDuration("How often logs are written. 1s unless set."),
      fileFlushMinSizeKb: uint32("KiB after which logs are written at once. 64 unless set."),
      image: object("The proxy's image.", {}, { imageType: string("Its kind: default, debug or distroless.") }),
      proxyHeaders: ProxyHeaders,
      gatewayTopology: GatewayTopology,
      connectionSettings: ConnectionSettings,
    },
    { oneOf: [["serviceCluster", "tracingServiceName"]] },
  ),
);
export type MeshProxyConfig = Value<typeof MeshProxyConfig>;
