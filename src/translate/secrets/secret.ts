import { create } from "@bufbuild/protobuf";
import type { Credential } from "#model/credentials/queries.ts";
import { type Secret, SecretSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";

/** Bytes that stand in the message itself. */
function inline(base64: string) {
  return { specifier: { case: "inlineBytes" as const, value: Buffer.from(base64, "base64") } };
}

/** A credential as Envoy gets it, under the name that it asked by; undefined for one that it could not use. */
export function envoySecret(name: string, credential: Credential): Secret | undefined {
  switch (credential.kind) {
    case "certificate": {
      const { chain, key, staple } = credential;
      const value = {
        certificateChain: inline(chain),
        privateKey: inline(key),
        ...(staple !== undefined && { ocspStaple: inline(staple) }),
      };
      return create(SecretSchema, { name, type: { case: "tlsCertificate", value } });
    }
    case "authorities": {
      const { certificates, revoked } = credential;
      const value = { trustedCa: inline(certificates), ...(revoked !== undefined && { crl: inline(revoked) }) };
      return create(SecretSchema, { name, type: { case: "validationContext", value } });
    }
    case "broken":
    case "missing":
      return undefined;
  }
}
