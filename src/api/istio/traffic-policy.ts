import {
  boolean,
  choice,
  definition,
  described,
  duration,
  int32,
  int64,
  list,
  map,
  number,
  object,
  positiveDuration,
  string,
  uint32,
  type Value,
} from "../schema.ts";
import { ConnectionPoolSettings, istioName, PortSelector } from "./common.ts";

const ConsistentHashLB = object(
  "Send requests with the same key to the same endpoint.",
  {},
  {
    httpHeaderName: string("The key is this request header."),
    httpCookie: object(
      "The key is a cookie, which is set where it is missing and ttl is given.",
      { name: string("The cookie's name.") },
      {
        path: string("The cookie's path."),
        ttl: duration("How long the cookie lives; 0s for the browser's session."),
        attributes: list(
          "More attributes of the cookie, such as SameSite.",
          object(
            "An attribute of the cookie.",
            { name: string("The attribute's name.") },
            { value: string("Its value; none for attributes such as Secure.") },
          ),
        ),
      },
    ),
    useSourceIp: boolean("The key is the caller's IP address."),
    httpQueryParameterName: string("The key is this query parameter."),
    ringHash: object(
      "Find endpoints on a hash ring.",
      {},
      { minimumRingSize: int64("Points on the ring at least. 1024 unless set.", { minimum: 0 }) },
    ),
    maglev: object(
      "Find endpoints with Maglev's table.",
      {},
      { tableSize: int64("Size of the table, a prime number. 65537 unless set.", { minimum: 0 }) },
    ),
    minimumRingSize: int64("Deprecated: use ringHash.", { minimum: 0 }),
  },
  {
    oneOf: [
      ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"],
      ["ringHash", "maglev"],
    ],
  },
);
export type ConsistentHashLB = Value<typeof ConsistentHashLB>;

const Failover = object(
  "Where a region's requests go when the region fails.",
  {},
  { from: string("The region that fails."), to: string("The region that takes its requests.") },
);

export const LocalityLoadBalancerSetting = object(
  "How localities share requests. In place of the mesh's setting, nothing is merged.",
  {},
  {
    distribute: list(
      "Shares by locality. One of distribute, failover and failoverPriority may be set.",
      object(
        "Where the requests of one locality go.",
        {},
        {
          from: string("The callers' locality: region/zone/sub-zone, * for any."),
          to: map("Shares of the destination's localities, together 100.", uint32("Percent of the requests.")),
        },
      ),
    ),
    failover: list("Where requests go when all endpoints of a region fail.", Failover),
    failoverPriority: list(
      "Labels that sort endpoints by how many of them, from the first, they share with the caller.",
      string("A label, or label=value."),
    ),
    enabled: boolean("Whether localities are considered for this destination."),
  },
);
export type LocalityLoadBalancerSetting = Value<typeof LocalityLoadBalancerSetting>;

export const ZoneAwareLoadBalancerSetting = object(
  "Keep requests in the caller's zone as far as its endpoints suffice. In place of the mesh's setting, nothing is merged.",
  {},
  {
    enabled: boolean("Whether zones are considered for this destination."),
    failover: list("Where requests go when all endpoints of a region fail.", Failover),
    failoverPriority: list(
      "Labels that sort endpoints by how many of them, from the first, they share with the caller.",
      string("A label, or label=value; not those of region, zone and sub-zone."),
    ),
    minClusterSize: int64("Endpoints in the caller's region that are needed. 6 unless set.", { minimum: 1 }),
  },
);

export type ZoneAwareLoadBalancerSetting = Value<typeof ZoneAwareLoadBalancerSetting>;

const WarmupConfiguration = object(
  "New endpoints get their share of requests little by little.",
  { duration: positiveDuration("How long an endpoint is new.") },
  {
    minimumPercent: number("Share that an endpoint begins with, in percent. 10 unless set.", {
      minimum: 0,
      maximum: 100,
    }),
    aggression: number("How the share grows; 1.0 is a straight line, more is slower first. 1.0 unless set.", {
      minimum: 0,
    }),
  },
);

export const LoadBalancerSettings = definition(
  istioName("LoadBalancerSettings"),
  object(
    "How an endpoint is chosen.",
    {},
    {
      simple: choice("A method that needs no tuning. LEAST_REQUEST unless set; LEAST_CONN is its deprecated name.", [
        "UNSPECIFIED",
        "LEAST_CONN",
        "RANDOM",
        "PASSTHROUGH",
        "ROUND_ROBIN",
        "LEAST_REQUEST",
      ]),
      consistentHash: ConsistentHashLB,
      localityLbSetting: LocalityLoadBalancerSetting,
      zoneAwareLbSetting: ZoneAwareLoadBalancerSetting,
      warmupDurationSecs: positiveDuration("Deprecated: use warmup."),
      warmup: WarmupConfiguration,
    },
    { oneOf: [["simple", "consistentHash"]] },
  ),
);
export type LoadBalancerSettings = Value<typeof LoadBalancerSettings>;

export const OutlierDetection = definition(
  istioName("OutlierDetection"),
  object(
    "When an endpoint that fails is left out for a while.",
    {},
    {
      consecutiveErrors: int32("Deprecated: use consecutiveGatewayErrors or consecutive5xxErrors."),
      splitExternalLocalOriginErrors: boolean("Count failures to connect apart from bad answers."),
      consecutiveLocalOriginFailures: uint32(
        "Failures to connect in a row; only with splitExternalLocalOriginErrors. 5 unless set.",
      ),
      consecutiveGatewayErrors: uint32("Answers 502, 503 and 504 in a row; 0 to not count them, which is the default."),
      consecutive5xxErrors: uint32("Answers 5xx in a row; 0 to not count them. 5 unless set."),
      interval: positiveDuration("Time between two looks. 10s unless set."),
      baseEjectionTime: positiveDuration("How long an endpoint is left out, times how often it was. 30s unless set."),
      maxEjectionPercent: int32("Share of the endpoints that may be left out, in percent. 10 unless set."),
      minHealthPercent: int32("Share of healthy endpoints, in percent, under which none is left out. 0 unless set."),
      outlierDetectionHttpErrorCodes: list(
        "Statuses that count as errors, in place of 5xx.",
        int32("An HTTP status.", { minimum: 100, maximum: 599 }),
      ),
    },
  ),
);
export type OutlierDetection = Value<typeof OutlierDetection>;

export const ClientTLSSettings = definition(
  istioName("ClientTLSSettings"),
  object(
    "How connections to the destination use TLS.",
    {},
    {
      mode: choice("What is done with TLS. DISABLE unless set.", ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
      clientCertificate: string("Path of the caller's certificate file; needed for MUTUAL."),
      privateKey: string("Path of the caller's key file; needed for MUTUAL."),
      caCertificates: string("Path of the file of authorities that the server's certificate is checked with."),
      credentialName: string("Secret that holds the caller's certificate and authorities; at gateways."),
      subjectAltNames: list(
        "Names of which the server's certificate must have one.",
        string("A subject alternative name."),
      ),
      sni: string("Server name sent in the TLS handshake."),
      insecureSkipVerify: boolean("Accept any server certificate."),
      caCrl: string("Path of the file of revoked server certificates."),
    },
  ),
);
export type ClientTLSSettings = Value<typeof ClientTLSSettings>;

const connectionPool = described("How many connections and requests the destination gets.", ConnectionPoolSettings);

export const PortTrafficPolicy = object(
  "The policy of one port. In place of the destination's policy, nothing is merged.",
  {},
  {
    port: described("The port that the policy is for.", PortSelector),
    loadBalancer: LoadBalancerSettings,
    connectionPool,
    outlierDetection: OutlierDetection,
    tls: ClientTLSSettings,
  },
);
export type PortTrafficPolicy = Value<typeof PortTrafficPolicy>;

export const TrafficPolicy = definition(
  istioName("TrafficPolicy"),
  object(
    "How proxies deal with a destination.",
    {},
    {
      loadBalancer: LoadBalancerSettings,
      connectionPool,
      outlierDetection: OutlierDetection,
      tls: ClientTLSSettings,
      portLevelSettings: list("Policies of single ports.", PortTrafficPolicy, { maxItems: 4096 }),
      tunnel: object(
        "Connections go through an HTTP proxy.",
        {
          targetHost: string("The host that the proxy is asked to connect to."),
          targetPort: uint32("The port that the proxy is asked to connect to."),
        },
        { protocol: string("How the proxy is asked: CONNECT or POST. CONNECT unless set.") },
      ),
      proxyProtocol: object(
        "Connections begin with the PROXY protocol's header.",
        {},
        { version: choice("Its version. V1 unless set.", ["V1", "V2"]) },
      ),
      retryBudget: object(
        "Retries as a share of the requests under way.",
        {},
        {
          percent: number("The share, in percent. 20 unless set.", { minimum: 0, maximum: 100 }),
          minRetryConcurrency: uint32("Retries that are always allowed. 3 unless set."),
          budgetInterval: duration("Count the requests of this long too. 0s, only those under way, unless set."),
        },
      ),
    },
  ),
);
export type TrafficPolicy = Value<typeof TrafficPolicy>;
