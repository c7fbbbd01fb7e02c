import { ownValue } from "../record.ts";

/** What a port's protocol means to the mesh. */
interface Protocol {
  readonly http?: true;
  /** TLS that the proxy may look into for the server's name. */
  readonly tls?: true;
  /** Handled as a TCP connection, with or without more knowledge. */
  readonly tcp?: true;
}

/** Protocols that ports of Istio's kinds may name, in lower case. */
const protocols: Readonly<Record<string, Protocol>> = {
  tcp: { tcp: true },
  udp: {},
  grpc: { http: true },
  "grpc-web": { http: true },
  http: { http: true },
  http_proxy: { http: true },
  http2: { http: true },
  https: { tls: true, tcp: true },
  tls: { tls: true, tcp: true },
  mongo: { tcp: true },
  redis: { tcp: true },
  mysql: { tcp: true },
};

/** Names of protocols for people. */
export const protocolNames = ["HTTP", "HTTP2", "GRPC", "GRPC-Web", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL"];

/** The protocol of a name in any case; undefined where Istio knows none of that name. */
export function protocolOf(name: string): Protocol | undefined {
  return ownValue(protocols, name.toLowerCase());
}
