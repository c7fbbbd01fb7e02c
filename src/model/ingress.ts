import type { ServerTLSSettings } from "#api/istio/common.ts";
import type { IstioIngressListener, SidecarSpec } from "#api/istio/sidecar.ts";
import { type Protocol, sidecarProtocol } from "./protocol.ts";

/** Where the application listens for what comes to a port of a Sidecar: Istio's `defaultEndpoint`. */
export type IngressEndpoint =
  /** Where the caller wanted to go. */
  | { readonly kind: "same" }
  /** At the address that the caller used, on another port. */
  | { readonly kind: "instance"; readonly port: number }
  | { readonly kind: "address"; readonly address: string; readonly port: number }
  /** On a Unix socket. */
  | { readonly kind: "socket"; readonly path: string };

/** A port that a Sidecar names for its workloads. */
export interface IngressPort {
  readonly port: number;
  /** What is spoken, within TLS where it ends in the proxy. */
  readonly protocol: Protocol;
  readonly ingress: IstioIngressListener;
}

const unixPrefix = "unix://";

/** Where the application is that an ingress listener leads to. Callers by IPv6 are not served, so its own host is IPv4's. */
export function ingressEndpoint({ defaultEndpoint = "" }: IstioIngressListener): IngressEndpoint {
  if (defaultEndpoint.startsWith(unixPrefix)) {
    return { kind: "socket", path: defaultEndpoint.slice(unixPrefix.length) };
  }
  const colon = defaultEndpoint.lastIndexOf(":");
  const port = Number(defaultEndpoint.slice(colon + 1));
  const host = defaultEndpoint.slice(0, Math.max(0, colon));
  if (host === "" || !Number.isInteger(port) || port < 1 || port > 65_535) return { kind: "same" };
  if (host === "0.0.0.0" || host === "[::]") return { kind: "instance", port };
  return { kind: "address", address: "127.0.0.1", port };
}

/** TLS that ends in the proxy, where a port has it. */
export function endingTls({ tls }: IstioIngressListener): ServerTLSSettings | undefined {
  return (tls?.mode ?? "PASSTHROUGH") === "PASSTHROUGH" ? undefined : tls;
}

/** What is spoken on a port, within TLS where it ends in the proxy. */
function spokenOn(listener: IstioIngressListener): Protocol {
  const protocol = sidecarProtocol(listener.port);
  if (!endingTls(listener)) return protocol;
  if (protocol === "HTTPS") return "HTTP";
  return protocol === "TLS" ? "TCP" : protocol;
}

/** The ports that a Sidecar names; of two for one number the first. */
export function ingressPorts({ ingress = [] }: SidecarSpec): readonly IngressPort[] {
  const ports = new Map<number, IngressPort>();
  for (const each of ingress) {
    const { number = 0 } = each.port;
    const protocol = spokenOn(each);
    if (number < 1 || number > 65_535 || protocol === "UDP" || ports.has(number)) continue;
    ports.set(number, { port: number, protocol, ingress: each });
  }
  return [...ports.values()].toSorted((a, b) => a.port - b.port);
}
