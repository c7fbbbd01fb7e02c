/** Gateways of a real cluster that show a certificate of a Secret, each as a service account of its own. */
import { X509Certificate } from "node:crypto";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import type { KubernetesNode } from "./node.ts";

const namespace = "edge";
const host = "site.test";
const port = 8443;
const [core, rbac] = ["v1", "rbac.authorization.k8s.io/v1"];
const metadata = (name: string): object => ({ name, namespace });

/** A gateway's service account and its Pod, both of this name. */
export function gatewayPod(name: string): readonly object[] {
  const annotations = {
    "inject.istio.io/templates": "gateway",
    "sidecar.istio.io/proxyCPU": "10m",
    "sidecar.istio.io/proxyMemory": "64Mi",
  };
  const labels = { istio: "edge", "sidecar.istio.io/inject": "true" };
  const containers = [{ name: "istio-proxy", image: "auto", imagePullPolicy: "Never" }];
  return [
    { apiVersion: core, kind: "ServiceAccount", metadata: metadata(name) },
    {
      apiVersion: core,
      kind: "Pod",
      metadata: { ...metadata(name), labels, annotations },
      spec: { serviceAccountName: name, terminationGracePeriodSeconds: 1, containers },
    },
  ];
}

/** What allows a gateway's account to list Secrets, by the role of `gatewayObjects`. */
export function secretReader(name: string): object {
  return {
    apiVersion: rbac,
    kind: "RoleBinding",
    metadata: metadata(name),
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "secret-reader" },
    subjects: [{ kind: "ServiceAccount", name, namespace }],
  };
}

/** The Secret whose certificate gateways show. */
export function siteSecret({ certificate, key }: Certificate): object {
  const stringData = { "tls.crt": certificate, "tls.key": key };
  return { apiVersion: core, kind: "Secret", metadata: metadata("site-cert"), type: "kubernetes.io/tls", stringData };
}

/** What is there beside the gateways' Pods: their Gateway, and a role for whom it is bound to. */
export function gatewayObjects(): readonly object[] {
  const tls = { mode: "SIMPLE", credentialName: "site-cert" };
  const servers = [{ port: { number: port, name: "https", protocol: "HTTPS" }, hosts: [host], tls }];
  return [
    { apiVersion: core, kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion: rbac,
      kind: "Role",
      metadata: metadata("secret-reader"),
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get", "list", "watch"] }],
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: metadata("site"),
      spec: { selector: { istio: "edge" }, servers },
    },
  ];
}

/** A certificate for the site. */
export function siteCertificate(): Certificate {
  return createAuthority("authority of the site").issue(host);
}

/** What tells a certificate from others. */
export function fingerprint(certificate: string): string {
  return new X509Certificate(certificate).fingerprint256;
}

/** The fingerprint of the certificate that a gateway at an address shows; `none` where it ends connections. */
export async function shownAt(node: KubernetesNode, address: string): Promise<string> {
  const line = `timeout 5 openssl s_client -connect ${address}:${port} -servername ${host} </dev/null 2>&1 || true`;
  const said = await node.run(["sh", "-c", line]);
  const [shown] = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/.exec(said) ?? [];
  return shown === undefined ? "none" : fingerprint(shown);
}
