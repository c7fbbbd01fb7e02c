import { createAuthority } from "#base/testing/certificate.ts";
import { all, type Case, networking } from "./written.ts";

const authority = createAuthority("authority");
const one = authority.issue("b.example.com");
const other = authority.issue("b.example.com");

/** Secret c with texts. */
function secret(texts: Readonly<Record<string, string>>): string {
  const metadata = { name: "c", namespace: "shop" };
  return `${JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", stringData: texts })}\n`;
}

/** Gateway x whose server has what Secret c holds. */
const gateway = networking(
  "Gateway",
  "x",
  "{ selector: { istio: edge }, servers: [{ port: { number: 443, name: https, protocol: HTTPS }, hosts: [b.example.com], tls: { mode: SIMPLE, credentialName: c } }] }",
);

/** DestinationRule x for callers with Pods, which takes servers of the authorities that Secret c holds. */
const selecting = networking(
  "DestinationRule",
  "x",
  "{ host: store, workloadSelector: { matchLabels: { app: reviews } }, trafficPolicy: { tls: { mode: SIMPLE, credentialName: c } } }",
);

const good = secret({ "tls.crt": one.certificate, "tls.key": one.key });
const authorities = secret({ "ca.crt": authority.certificate });

/** Mistakes with Secrets. */
export const credentialCases: readonly Case[] = [
  {
    code: "IST0101",
    title: "credentialName of a Gateway",
    bad: gateway,
    at: "Gateway x: spec.servers[0].tls.credentialName",
    good: all(gateway, good),
  },
  {
    code: "IST0161",
    bad: all(gateway, secret({ "tls.crt": one.certificate, "tls.key": other.key })),
    at: "Gateway x: spec.servers[0].tls.credentialName",
    good: all(gateway, good),
  },
  {
    code: "IST0101",
    title: "credentialName of a DestinationRule",
    bad: selecting,
    at: "DestinationRule x: spec.trafficPolicy.tls.credentialName",
    good: all(selecting, authorities),
  },
  {
    code: "InvalidCredential",
    bad: all(selecting, secret({ "ca.crt": "no certificate" })),
    at: "DestinationRule x: spec.trafficPolicy.tls.credentialName",
    good: all(selecting, authorities),
  },
];
