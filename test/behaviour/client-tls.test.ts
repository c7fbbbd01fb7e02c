/**
 * TLS that a sidecar begins for its workload. Names of groups are those of Istio's reference "Destination Rule".
 */
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { certifiedName, type Handshake } from "./backends.ts";
import { greeting } from "./greeting.ts";
import { World } from "./world.ts";

let world: World;
let folder: string;

/** Bytes of each of these services go on within TLS, as the settings say. */
const settings = {
  named: `sni: first.test, subjectAltNames: [other.test, ${certifiedName}], caCertificates: @ca`,
  misnamed: "sni: second.test, subjectAltNames: [other.test], caCertificates: @ca",
  strange: `sni: third.test, subjectAltNames: [${certifiedName}], caCertificates: @strange`,
  system: "sni: fourth.test",
  revoked: `sni: seventh.test, subjectAltNames: [${certifiedName}], caCertificates: @ca, caCrl: @crl`,
  unrevoked: `sni: eighth.test, subjectAltNames: [${certifiedName}], caCertificates: @ca, caCrl: @other`,
  careless: "sni: fifth.test, insecureSkipVerify: true",
  mutual: `mode: MUTUAL, sni: sixth.test, subjectAltNames: [${certifiedName}], caCertificates: @ca, clientCertificate: @client, privateKey: @key`,
} as const;

function rule(host: string, tls: string): string {
  const text = tls.replaceAll(/@(\w+)/g, (_whole, name: string) => join(folder, name));
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host.split(".")[0]} }
spec: { host: ${host}, trafficPolicy: { tls: { ${text.includes("mode:") ? "" : "mode: SIMPLE, "}${text} } } }`;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-certificates-"));
  chmodSync(folder, 0o755);
  const names = Object.keys(settings) as (keyof typeof settings)[];
  world = await World.start(
    "l",
    {
      proxies: [{ name: "caller", labels: { app: "caller" } }],
      services: [
        ...names.map((name, at) => ({ name, ports: [{ name: "tcp", port: 9100 + at, to: "tls" as const }] })),
        { name: "web", ports: [{ name: "http", port: 9200, to: "https" }] },
        { name: "outside" },
      ],
      istio: [
        ...names.map((name) => rule(name, settings[name])),
        rule("web", "caCertificates: @ca, insecureSkipVerify: false"),
        `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside }
spec:
  hosts: [${certifiedName}, entry.test]
  resolution: STATIC
  subjectAltNames: [${certifiedName}]
  ports: [{ number: 9300, name: http, protocol: HTTP, targetPort: 8444 }]
  endpoints: [{ address: "@outside-v1-0" }]`,
        rule(certifiedName, "caCertificates: @ca"),
        rule("entry.test", "sni: asked.test, caCertificates: @ca"),
      ],
    },
    (authority, pods) => {
      const { certificate, key } = authority.issue("client.test");
      const texts = {
        ca: authority.certificate,
        crl: authority.revoke(pods),
        other: authority.revoke(certificate),
        client: certificate,
        key,
        strange: createAuthority("strange").certificate,
      };
      for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
    },
  );
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What a service says first over a new connection, and the handshake that its Pod saw. */
async function call(
  name: keyof typeof settings,
): Promise<{ readonly text: string; readonly seen: Handshake | undefined }> {
  const port = 9100 + Object.keys(settings).indexOf(name);
  const text = await greeting(await world.caller("caller").connect(name, port));
  return { text, seen: world.backends.handshakes.findLast(({ pod }) => pod.startsWith(name)) };
}

describe("ClientTLSSettings mode SIMPLE", () => {
  test("sni is asked for, and one of subjectAltNames must be in the server's certificate", async () => {
    expect(await call("named")).toEqual({
      text: "named-v1-0",
      seen: { pod: "named-v1-0", serverName: "first.test", caller: "" },
    });
    expect((await call("misnamed")).text).toBe("");
  });

  test("a certificate of an authority that is not in caCertificates is not taken", async () => {
    expect((await call("strange")).text).toBe("");
  });

  test("caCrl: a server whose certificate is revoked is not taken", async () => {
    expect((await call("unrevoked")).text).toBe("unrevoked-v1-0");
    expect((await call("revoked")).text).toBe("");
  });

  test("without caCertificates the system's authorities are asked", async () => {
    expect((await call("system")).text).toBe("");
  });

  test("insecureSkipVerify takes any certificate", async () => {
    expect((await call("careless")).text).toBe("careless-v1-0");
  });

  test("without sni, the request's host is asked for, and must be in the certificate", async () => {
    const { status } = await world.caller("caller").send("http://web:9200/");
    expect(status).toBe(503);
    const found = await world.caller("caller").send(`http://${certifiedName}:9300/`);
    expect({ status: found.status, pod: found.seen?.pod }).toEqual({ status: 200, pod: "outside-v1-0" });
    expect(world.backends.handshakes.at(-1)).toMatchObject({ pod: "outside-v1-0", serverName: certifiedName });
  });
});

describe("ServiceEntry subjectAltNames", () => {
  test("hold where the rule names none", async () => {
    expect((await world.caller("caller").send("http://entry.test:9300/")).status).toBe(200);
    expect(world.backends.handshakes.at(-1)?.serverName).toBe("asked.test");
  });
});

describe("ClientTLSSettings mode MUTUAL", () => {
  test("the proxy shows its certificate", async () => {
    expect(await call("mutual")).toEqual({
      text: "mutual-v1-0",
      seen: { pod: "mutual-v1-0", serverName: "sixth.test", caller: "DNS:client.test" },
    });
  });
});
