/** Secrets on their way from a cluster's API to a gateway's proxy, and what is said of them. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { gateway } from "#api/istio/gateway.ts";
import { credentialsIn } from "#api/istio/gateway-credential.ts";
import { configMap } from "#api/kubernetes/config-map.ts";
import { pod } from "#api/kubernetes/pod.ts";
import { secret } from "#api/kubernetes/secret.ts";
import { cluster } from "#api/weft/cluster.ts";
import type { ApiServerOptions } from "#apiserver/server.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { timestamp } from "#base/timestamp.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { typeUrls } from "#proto/encoded.ts";
import { type Secret, SecretSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

const authority = createAuthority("authority");
const node = {
  id: "router~10.0.0.1~edge-1.edge~edge.svc.cluster.local",
  metadata: { NAMESPACE: "edge", CLUSTER_ID: "east", LABELS: { istio: "ingress" } },
};
const name = { namespace: "edge", name: "site" };

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function data({ certificate, key }: Certificate): Readonly<Record<string, string>> {
  return { "tls.crt": base64(certificate), "tls.key": base64(key), password: base64("do not tell") };
}

/** When a certificate ends, in RFC 3339. */
function endOf({ certificate }: Pick<Certificate, "certificate">): string {
  return timestamp(Date.parse(new X509Certificate(certificate).validTo));
}

/** The private keys of some secrets, as texts. */
function keysOf(stream: DeltaStream): readonly string[] {
  const secrets = stream.responses
    .filter(({ typeUrl }) => typeUrl === typeUrls.secret)
    .flatMap(({ resources }) => resources)
    .flatMap(({ resource }): readonly Secret[] => (resource ? [fromBinary(SecretSchema, resource.value)] : []));
  return secrets.flatMap(({ type }) => {
    const key = type.case === "tlsCertificate" ? type.value.privateKey?.specifier : undefined;
    return key?.case === "inlineBytes" ? [Buffer.from(key.value).toString()] : [];
  });
}

test("a Secret of a cluster is served, followed and judged, and told to nobody else", { timeout: 60_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "weft-secrets-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const tcp = { host: "127.0.0.1", port: 0 };
  const socket = join(directory, "east.sock");
  const endpoints: ApiServerOptions["endpoints"] = [
    { name: "mesh", view: "mesh", partition: "mesh", listen: [tcp] },
    {
      name: "east",
      view: "cluster",
      partition: "cluster/east",
      listen: [tcp, { socketPath: socket }],
      serviceRange: "10.110.0.0/16",
    },
  ];
  const server = stack.use(await startTestServer({ endpoints }));
  const api = (endpoint: string): Client =>
    new Client(stack.use(new Connection({ url: server.url(endpoint) }, { clock: systemClock })));
  const [mesh, east] = [api("mesh"), api("east")];
  await createNamespace(server, "mesh", "edge");
  await createNamespace(server, "east", "edge");
  await mesh.of(cluster).create({ metadata: { name: "east" }, spec: { server: `unix://${socket}` } });
  await mesh
    .of(configMap)
    .create({ metadata: { ...name, name: "clients" }, data: { "ca.crt": authority.certificate } });
  const helm = { metadata: { ...name, name: "helm" }, type: "helm.sh/release.v1", data: data(authority.issue("a")) };
  await east.of(secret).create(helm);
  await east.of(pod).create({
    metadata: { namespace: "edge", name: "edge-1", labels: { istio: "ingress" } },
    spec: { containers: [{ name: "proxy", image: "proxy" }] },
  });
  const server443 = (host: string, credential: string, more = {}) => ({
    port: { number: 443, name: host, protocol: "HTTPS" },
    hosts: [`${host}.test`],
    tls: { mode: "MUTUAL", credentialName: credential, caCertCredentialName: "configmap://edge/clients", ...more },
  });
  const servers = [server443("site", "site"), server443("helm", "helm")];
  await mesh.of(gateway).create({ metadata: name, spec: { selector: { istio: "ingress" }, servers } });

  const logged: string[] = [];
  const logger = jsonLogger({ level: "debug", write: (line) => void logged.push(line), now: () => 0 });
  const ads = { socketPath: join(directory, "ads.sock") };
  stack.use(startDiscovery(server, directory, {}, logger));

  const asked = ["kubernetes://site", "kubernetes://helm", "configmap://edge/clients", "kubernetes://other"];
  const proxy = await eventually("the control plane serves", async () => {
    const stream = new DeltaStream(ads);
    stream.ask({ node, typeUrl: typeUrls.secret, resourceNamesSubscribe: asked });
    await eventually("an answer", () => stream.responses.length > 0 || stream.ended !== undefined);
    return stream.ended ? undefined : stream;
  });
  stack.use(proxy);
  const answered = new Set<string>();
  const arrives = async (key: string): Promise<unknown> =>
    eventually("the key arrives", () => {
      for (const { nonce, typeUrl } of proxy.responses) {
        if (answered.has(nonce)) continue;
        answered.add(nonce);
        proxy.ask({ typeUrl, responseNonce: nonce });
      }
      return keysOf(proxy).at(-1) === key;
    });
  const says = async (wanted: RegExp): Promise<unknown> =>
    eventually(`the Gateway's status says ${wanted}`, async () =>
      wanted.test(JSON.stringify(await mesh.of(gateway).get(name))),
    );

  const [first] = proxy.responses;
  expect(first?.resources.map((each) => each.name)).toEqual(["configmap://edge/clients"]);
  await says(/There is no Secret edge\/site in cluster east.*There is no Secret edge\/helm/);
  const one = authority.issue("site.test");
  await east.of(secret).create({ metadata: name, data: data(one) });
  await arrives(one.key);
  const clients = { kind: "ConfigMap", namespace: "edge", name: "clients", notAfter: endOf(authority) };
  const fromMap = [0, 1].map((at) => ({ field: `spec.servers[${at}].tls.caCertCredentialName`, ...clients }));
  const of = (certificate: Certificate): readonly object[] => [
    {
      field: "spec.servers[0].tls.credentialName",
      kind: "Secret",
      ...name,
      cluster: "east",
      notAfter: endOf(certificate),
    },
    ...fromMap,
  ];
  const ends = async (expected: readonly object[]): Promise<void> => {
    await expect
      .poll(async () => credentialsIn(await mesh.of(gateway).get(name)), { timeout: 20_000 })
      .toEqual(expected);
  };
  await ends(of(one));
  const two = authority.issueFor({ names: ["site.test"], until: new Date(Date.now() + 2 * 3_600_000) });
  await east.of(secret).patch(name, { kind: "merge", body: { data: data({ ...two, key: one.key }) } });
  await says(/Secret edge\/site \(east\) cannot be used: tls.key is not the key of the certificate/);
  await east.of(secret).patch(name, { kind: "merge", body: { data: data(two) } });
  await arrives(two.key);
  // Which is seen beside the objects' names, too.
  await ends(of(two));
  expect(gateway.columns[0]?.cell(await mesh.of(gateway).get(name))).toBe(endOf(two));
  await says(/"type":"Programmed","status":"True"|"status":"True"[^}]*"type":"Programmed"/);
  // One for 109 days that has 29 left is told of.
  const days = (count: number): Date => new Date(Date.now() + count * 86_400_000);
  const three = authority.issueFor({ names: ["site.test"], from: days(-80), until: days(29) });
  await east.of(secret).patch(name, { kind: "merge", body: { data: data(three) } });
  await arrives(three.key);
  await says(/The certificate of Secret edge\/site ends at/);
  await east.of(secret).delete(name);
  await says(/There is no Secret edge\/site in cluster east/);
  await ends(fromMap);
  expect(keysOf(proxy)).toEqual([one.key, two.key, three.key]);

  const object = JSON.stringify(await mesh.of(gateway).get(name));
  const told = [object, ...logged].filter(
    (text) => /do not tell|PRIVATE KEY/.test(text) || text.includes(base64(one.key).slice(40, 90)),
  );
  expect(told).toEqual([]);
});
