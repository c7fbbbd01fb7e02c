import { create } from "@bufbuild/protobuf";
import {
  type Address,
  AddressSchema,
  type BindConfig,
  BindConfigSchema,
  SocketAddress_Protocol,
} from "#proto/gen/envoy/config/core/v3/address_pb.js";

/** A TCP address. */
export function socketAddress(address: string, port: number): Address {
  return create(AddressSchema, {
    address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } },
  });
}

const unixPrefix = "unix://";

/** Where a listener listens: on a TCP address, or on a Unix socket by its `unix://` path, whatever the port. */
export function listenAddress(address: string, port: number): Address {
  return address.startsWith(unixPrefix) ? pipe(address.slice(unixPrefix.length)) : socketAddress(address, port);
}

/** A UDP address. */
export function udpAddress(address: string, port: number): Address {
  const portSpecifier = { case: "portValue" as const, value: port };
  const value = { protocol: SocketAddress_Protocol.UDP, address, portSpecifier };
  return create(AddressSchema, { address: { case: "socketAddress", value } });
}

/** A Unix socket's address. */
export function pipe(path: string): Address {
  return create(AddressSchema, { address: { case: "pipe", value: { path } } });
}

/**
 * Connections to the application of the proxy's own Pod come from this address: iptables lets it pass, so that they are
 * not caught again.
 */
const inboundSource = "127.0.0.6";

/** The same of IPv6: capture gives it to the Pod's loopback interface. */
const inboundSource6 = "::6";

function source(address: string) {
  return { address, portSpecifier: { case: "portValue" as const, value: 0 } };
}

const bind = create(BindConfigSchema, { sourceAddress: source(inboundSource) });
const bindBoth = create(BindConfigSchema, {
  sourceAddress: source(inboundSource),
  // Envoy takes the one of the family of where it connects to.
  extraSourceAddresses: [{ address: source(inboundSource6) }],
});

/** Makes a cluster's connections come from `inboundSource`, those of IPv6 from its like where there are such. */
export function inboundBind(ipv6: boolean): BindConfig {
  return ipv6 ? bindBoth : bind;
}
