/** Parts of TLS settings that both ends have. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType as SanType,
  type TlsCertificateSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";

/** Envoy's name of the transport. */
export const tlsTransport = "envoy.transport_sockets.tls";

/** A file that the proxy reads. */
export function file(filename: string) {
  return { specifier: { case: "filename" as const, value: filename } };
}

/** A certificate with its key, each in a file. */
export function certificateFiles(certificate: string, key: string): MessageInitShape<typeof TlsCertificateSchema> {
  return { certificateChain: file(certificate), privateKey: file(key) };
}

const sanTypes = [SanType.DNS, SanType.URI, SanType.EMAIL, SanType.IP_ADDRESS] as const;

/** Names of which a certificate must have one; each is looked for among the certificate's names of every type. */
export function exactNames(names: readonly string[]): MessageInitShape<typeof SubjectAltNameMatcherSchema>[] {
  return names.flatMap((value) =>
    sanTypes.map((sanType) => ({ sanType, matcher: { matchPattern: { case: "exact" as const, value } } })),
  );
}
