import { create } from "@bufbuild/protobuf";
import { type EncodedResource, encodeResource } from "#proto/encoded.ts";
import { SecretSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import type { WorkloadCertificate } from "../certificates/issued.ts";

/** The names that generated configuration asks for, which are Istio's. */
export const secretNames = { certificate: "default", roots: "ROOTCA" } as const;

function bytesOf(text: string) {
  return { specifier: { case: "inlineBytes" as const, value: Buffer.from(text) } };
}

/** A workload's certificate with its key, as Envoy takes it. */
export function certificateSecret({ chain, key }: Pick<WorkloadCertificate, "chain" | "key">): EncodedResource {
  const name = secretNames.certificate;
  const value = { certificateChain: bytesOf(chain), privateKey: bytesOf(key) };
  const secret = create(SecretSchema, { name, type: { case: "tlsCertificate", value } });
  return encodeResource(SecretSchema, secret, name);
}

/**
 * The authorities that peers are checked by, all of them trusted alike.
 * @param revoked lists of revoked certificates, in PEM; empty for none.
 */
export function rootsSecret(roots: readonly string[], revoked = ""): EncodedResource {
  const name = secretNames.roots;
  const value = { trustedCa: bytesOf(roots.join("")), ...(revoked !== "" && { crl: bytesOf(revoked) }) };
  const secret = create(SecretSchema, { name, type: { case: "validationContext", value } });
  return encodeResource(SecretSchema, secret, name);
}
