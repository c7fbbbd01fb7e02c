import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContextOptions } from "node:tls";
import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { messageOf, WeftError } from "#base/errors.ts";

/** Files by which a store and etcd know each other, read again whenever a connection is made. */
export interface EtcdFiles {
  /** Authorities of etcd's certificate, PEM; those of the machine unless told. */
  readonly ca?: string;
  /** The certificate by which etcd knows the store, PEM, and its key. */
  readonly certificate?: string;
  readonly key?: string;
  /** A user of etcd, `NAME:PASSWORD`. */
  readonly user?: string;
}

function read(what: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new WeftError("FailedPrecondition", `${what} ${path} cannot be read: ${messageOf(error)}`);
  }
}

/** What a connection's TLS is made of, as far as files say. @throws WeftError `FailedPrecondition`. */
function contextOf({ ca, certificate, key }: EtcdFiles): SecureContextOptions {
  return {
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca: read("the authorities of etcd's certificate", ca) }),
    ...(certificate === undefined ? {} : { cert: read("the certificate for etcd", certificate) }),
    ...(key === undefined ? {} : { key: read("the key for etcd", key) }),
  };
}

/** How a connection to one member is secured. */
interface Security {
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/**
 * How a connection is secured now.
 * @param endpoint HOST:PORT, to whose host the certificate must belong.
 * @throws WeftError `FailedPrecondition` for files that are missing or wrong.
 */
export function securityOf(endpoint: string, secure: boolean, files: EtcdFiles): Security {
  if (!secure) return { credentials: credentials.createInsecure(), options: {} };
  const options = contextOf(files);
  const host = endpoint.replace(/:\d+$/, "").replaceAll(/[[\]]/g, "");
  try {
    const context = createSecureContext(options);
    if (isIP(host) === 0) return { credentials: credentials.createFromSecureContext(context), options: {} };
    // TLS names no addresses, but gRPC's library would: it is given a name to ask for, and the address is checked.
    const verify = { checkServerIdentity: (_: string, peer: PeerCertificate) => checkServerIdentity(host, peer) };
    return {
      credentials: credentials.createFromSecureContext(context, verify),
      options: { "grpc.ssl_target_name_override": "etcd" },
    };
  } catch (error) {
    throw new WeftError("FailedPrecondition", `the certificates for etcd cannot be used: ${messageOf(error)}`);
  }
}

/** The user that a file names. @throws WeftError `FailedPrecondition`. */
export function readUser(path: string): { readonly name: string; readonly password: string } {
  const [, name, password] = /^([^:\n]+):([^\n]+)\n*$/.exec(read("the user of etcd", path)) ?? [];
  if (name !== undefined && password !== undefined) return { name, password };
  throw new WeftError("FailedPrecondition", `the file ${path} does not hold a user of etcd as NAME:PASSWORD`);
}
