import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { encodeResource } from "#proto/encoded.ts";
import { SecretSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { loadRegistry } from "#proto/registry.ts";
import { resourceJson } from "./resource-text.ts";

function inline(text: string) {
  return { specifier: { case: "inlineBytes" as const, value: Buffer.from(text) } };
}

test("a secret is shown without its private key", () => {
  const value = { certificateChain: inline("certificate"), privateKey: inline("do not tell") };
  const secret = create(SecretSchema, { name: "a", type: { case: "tlsCertificate", value } });
  const shown = resourceJson(encodeResource(SecretSchema, secret, "a"), loadRegistry());
  expect(shown).toEqual({
    name: "a",
    tlsCertificate: {
      certificateChain: { inlineBytes: Buffer.from("certificate").toString("base64") },
      privateKey: { inlineString: "[redacted]" },
    },
  });
});

test("authorities are shown as they are", () => {
  const value = { trustedCa: inline("authority") };
  const secret = create(SecretSchema, { name: "a", type: { case: "validationContext", value } });
  const shown = resourceJson(encodeResource(SecretSchema, secret, "a"), loadRegistry());
  const trustedCa = { inlineBytes: Buffer.from("authority").toString("base64") };
  expect(shown).toEqual({ name: "a", validationContext: { trustedCa } });
});
