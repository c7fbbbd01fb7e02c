/** Words that are also the names of what every JavaScript object has. */
export const odd: readonly string[] = ["constructor", "toString", "__proto__"];
const services = ["a", "b", "a.shop.svc.cluster.local", "b.bank.svc.cluster.local", "api.example.com"];
const hosts = [
  ...services,
  "*.shop.svc.cluster.local",
  "*.example.com",
  "*-x.example.com",
  "API.example.com",
  "10.9.0.1",
];
const gatewayHosts = [
  "*",
  "*.example.com",
  "shop/*",
  "./a.example.com",
  "api.example.com",
  "*/b.example.com",
  "10.9.0.1",
];

const targetGroups = ["gateway.networking.k8s.io", "gateway.networking.k8s.io", ""];
const targetKinds = ["Gateway", "Service", "GatewayClass"];
const ranges = ["10.9.0.1", "10.9.0.0/16", "2001:db8::/32"];
const portTexts = ["80", "8080"];

/** Texts by the name of the field that holds them: few, so that objects meet, and some that are unusual. */
export const words: Readonly<Record<string, readonly string[]>> = {
  host: services,
  hosts,
  sniHosts: ["a.example.com", "api.example.com", "*.example.com", "API.example.com"],
  "servers.hosts": gatewayHosts,
  "egress.hosts": ["./*", "*/*", "shop/*", "~/*", "*/*.example.com", "shop/a.shop.svc.cluster.local"],
  gateways: ["mesh", "shop/g", "g", "./g"],
  namespace: ["shop", "bank", "constructor"],
  sourceNamespace: ["shop", "constructor"],
  exportTo: ["*", ".", "shop", "constructor"],
  subset: ["", "s1", ...odd],
  protocol: ["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "UDP"],
  "tunnel.protocol": ["CONNECT", "POST"],
  addresses: ["10.9.0.1", "10.9.0.0/16", "10.9.0.1/32", "2001:db8::1", "0.0.0.0"],
  address: ["10.8.0.1", "2001:db8::2", "backend.example.org", "unix:///run/x.sock", "api.example.com"],
  bind: ["", "127.0.0.1", "10.0.0.9", "unix:///run/y.sock"],
  destinationSubnets: ["10.9.0.0/16", "10.9.0.1", "2001:db8::/32"],
  regex: [".*", "*", "a|b", "(", ""],
  uri: ["/", "/x", "", "x"],
  prefix: ["/", "/a", "", "a/"],
  authority: ["x.example.com", "", "x.example.com:81"],
  scheme: ["http", "https", ""],
  grpcStatus: ["UNAVAILABLE", "OK", "NONSENSE"],
  retryOn: ["5xx", "503", "5xx,503,999", "gateway-error,,", ""],
  locality: ["eu/eu-a", "eu", "", "eu/eu-a/x/y"],
  from: ["eu/*", "eu", "us/us-a/*", "*"],
  to: ["us", "eu"],
  failoverPriority: ["app", "topology.istio.io/network", "version=x", ...odd],
  network: ["", "main", "constructor"],
  allowMethods: ["GET", "*", ""],
  serverCertificate: ["", "/etc/server.crt"],
  clientCertificate: ["", "/etc/client.crt"],
  privateKey: ["", "/etc/server.key"],
  caCertificates: ["", "/etc/ca.crt"],
  verifyCertificateSpki: ["uPvPzGkSCsJTNfuqTKWXLtbSXmsTDbrtzqL0UYyPoTk=", "a"],
  verifyCertificateHash: ["ab".repeat(32), "ab"],
  credentialName: ["cert", "default", "", "kubernetes://cert", "shop/cert"],
  credentialNames: ["cert", "default", "a"],
  caCertCredentialName: ["cert", "cert-cacert"],
  // Only scripts: what is none only Envoy can tell, and its refusal stands in the object's status.
  inlineCode: ["function envoy_on_request(handle) end", "", "-- nothing"],
  cipherSuites: ["AES128-SHA", "!AES256-SHA", "[AES128-SHA|AES256-SHA]", "NULL", "/x", ""],
  selector: ["edge", "edge", "x"],
  httpHeaderName: ["x-user", ":path", ""],
  accessLogFile: ["", "/dev/null", "requests.log"],
  bytes: ["aGk=", "!", ""],
  "targetRef.group": targetGroups,
  "targetRef.kind": targetKinds,
  "targetRefs.group": targetGroups,
  "targetRefs.kind": targetKinds,
  "targetRef.namespace": [""],
  "targetRefs.namespace": [""],
  ipBlocks: ranges,
  notIpBlocks: ranges,
  remoteIpBlocks: ranges,
  notRemoteIpBlocks: ranges,
  "operation.ports": portTexts,
  "operation.notPorts": portTexts,
  "when.key": ["request.headers[x-a]", "source.namespace", "destination.port", "request.auth.claims[group]"],
  "when.values": portTexts,
  "when.notValues": portTexts,
  jwksUri: ["https://example.com/keys", "http://a.shop:8080/k"],
  jwks_uri: ["https://example.com/keys"],
};

/** Keys of maps by the name of the field that holds the map. */
export const keys: Readonly<Record<string, readonly string[]>> = {
  ports: ["http", "tcp", "constructor"],
  headers: ["x-user", ":authority", "@request.auth.claims.group", "@request.auth.claims[", "Host", "constructor"],
  to: ["eu/*", "us/us-a/*", "eu/eu-a/x"],
  set: ["x-a", ":authority", "Host", ":path"],
  "endpoints.ports": ["http", "tcp", "constructor"],
  labels: ["app", "version", "constructor", "__proto__"],
  portLevelMtls: ["80", "8080"],
  selector: ["app", "app", "constructor"],
};

/** Texts of fields that are not listed. */
export const texts: readonly string[] = ["", "a", "b", "s1", "x-a", "/x", "default", ...odd];
export const durations: readonly string[] = ["1s", "0s", "250ms", "1h", "1.5s"];
