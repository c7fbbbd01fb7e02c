import {
  boolean,
  choice,
  definition,
  int32,
  list,
  map,
  number,
  object,
  positiveDuration,
  duration,
  string,
  uint32,
  type Value,
} from "../schema.ts";

/** API of Istio 1.31, which all schemas of this folder follow. */
export const istioRelease = "1.31";

/** Name of a schema of one of Istio's groups in OpenAPI documents. */
export function istioName(message: string, group = "networking"): string {
  return `io.istio.${group}.v1.${message}`;
}

export const PortSelector = object("A port of the destination.", {}, { number: uint32("The port's number.") });
export type PortSelector = Value<typeof PortSelector>;

export const Destination = definition(
  istioName("Destination"),
  object(
    "Where requests or connections go after routing.",
    {
      host: string(
        "A service's name in the registry. A short name is completed with the rule's own namespace: write reviews.shop.svc.cluster.local to be sure.",
      ),
    },
    {
      subset: string("A subset of the service, as its DestinationRule defines it."),
      port: PortSelector,
    },
  ),
);
export type Destination = Value<typeof Destination>;

export const Percent = object("A share of requests.", {}, { value: number("From 0.0 to 100.0.") });
export type Percent = Value<typeof Percent>;

export const WorkloadSelector = object(
  "Which workloads the object is for, in its own namespace.",
  {},
  {
    labels: map("Labels that a workload must have, all of them.", string("The label's value.", { maxLength: 63 }), {
      maxProperties: 256,
    }),
  },
);
export type WorkloadSelector = Value<typeof WorkloadSelector>;

export const SidecarPort = object(
  "A port.",
  {},
  {
    number: uint32("The port's number."),
    protocol: string("What is spoken on it: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS."),
    name: string("The port's name."),
    targetPort: uint32("Not used any more."),
  },
);
export type SidecarPort = Value<typeof SidecarPort>;

export const TcpKeepalive = object(
  "TCP keep-alive of the connections.",
  {},
  {
    probes: uint32("Unanswered probes after which a connection is dead. The system's default, 9 on Linux, unless set."),
    time: positiveDuration("How long a connection is idle before it is probed. 2h on Linux unless set."),
    interval: positiveDuration("Time between two probes. 75s on Linux unless set."),
  },
);

const TCPSettings = object(
  "Settings of connections of any protocol.",
  {},
  {
    maxConnections: int32("Connections to a destination host at a time. 2^32-1 unless set."),
    connectTimeout: positiveDuration("How long connecting may take. 10s unless set."),
    tcpKeepalive: TcpKeepalive,
    maxConnectionDuration: positiveDuration("How old a connection may get. Any age unless set."),
    idleTimeout: duration("How long a connection may be idle. 1h unless set; 0s for ever."),
  },
);

const HTTPSettings = object(
  "Settings of HTTP/1.1, HTTP/2 and gRPC connections.",
  {},
  {
    http1MaxPendingRequests: int32("Requests that may wait for a connection. 2^32-1 unless set."),
    http2MaxRequests: int32("Requests to a destination at a time. 2^32-1 unless set."),
    maxRequestsPerConnection: int32("Requests on one connection; 1 turns keep-alive off. Any number unless set."),
    maxRetries: int32("Retries to all hosts of a cluster at a time. 2^32-1 unless set."),
    idleTimeout: positiveDuration("How long a connection may be without requests. 1h unless set."),
    h2UpgradePolicy: choice("Whether HTTP/1.1 requests are sent as HTTP/2.", ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
    useClientProtocol: boolean("Speak to the destination what the client speaks; h2UpgradePolicy has no effect then."),
    maxConcurrentStreams: int32("Streams at a time on one HTTP/2 connection. 2^31-1 unless set."),
    http2KeepAlive: object(
      "HTTP/2 pings on the connections.",
      {},
      {
        interval: positiveDuration("Time between two pings. Required."),
        timeout: positiveDuration("How long an answer may take before the connection is closed. Required."),
      },
    ),
  },
);

export const ConnectionPoolSettings = definition(
  istioName("ConnectionPoolSettings"),
  object("How many connections and requests a destination gets.", {}, { tcp: TCPSettings, http: HTTPSettings }),
);
export type ConnectionPoolSettings = Value<typeof ConnectionPoolSettings>;

const tlsVersions = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] as const;

const TLSCertificate = object(
  "A certificate with its key, as files.",
  {},
  {
    serverCertificate: string("Path of the certificate file."),
    privateKey: string("Path of the key file."),
    caCertificates: string("Path of the file of authorities that client certificates are checked with."),
  },
);

export const ServerTLSSettings = definition(
  istioName("ServerTLSSettings"),
  object(
    "How a listener terminates TLS, or does not.",
    {},
    {
      httpsRedirect: boolean("Answer HTTP requests with a 301 to the same address with https."),
      mode: choice("What is done with TLS. PASSTHROUGH unless set.", [
        "PASSTHROUGH",
        "SIMPLE",
        "MUTUAL",
        "AUTO_PASSTHROUGH",
        "ISTIO_MUTUAL",
        "OPTIONAL_MUTUAL",
      ]),
      serverCertificate: string("Path of the server's certificate file."),
      privateKey: string("Path of the server's key file."),
      caCertificates: string("Path of the file of authorities that client certificates are checked with."),
      caCrl: string("Path of the file of revoked client certificates."),
      credentialName: string("Secret that holds certificate and key (tls.crt, tls.key; ca.crt for MUTUAL)."),
      credentialNames: list(
        "Secrets of several certificates, such as one of RSA and one of ECDSA.",
        string("A Secret's name."),
        { minItems: 1, maxItems: 2 },
      ),
      caCertCredentialName: string("Secret or ConfigMap that holds the authorities for client certificates (ca.crt)."),
      tlsCertificates: list("Several certificates as files.", TLSCertificate, { minItems: 1, maxItems: 2 }),
      subjectAltNames: list(
        "Names of which a client certificate must have one.",
        string("A subject alternative name."),
      ),
      verifyCertificateSpki: list(
        "Hashes of the public keys that client certificates may have.",
        string("SHA-256 in base64."),
      ),
      verifyCertificateHash: list("Hashes that client certificates may have.", string("SHA-256 in hexadecimal.")),
      minProtocolVersion: choice("Oldest TLS version. TLS 1.2 unless set.", tlsVersions),
      maxProtocolVersion: choice("Newest TLS version.", tlsVersions),
      cipherSuites: list("Cipher suites in Envoy's names. Envoy's defaults unless set.", string("A cipher suite.")),
      insecureSkipVerify: boolean("Accept client certificates that no authority signed."),
    },
  ),
);
export type ServerTLSSettings = Value<typeof ServerTLSSettings>;
