import { X509Certificate } from "node:crypto";
import type { StringMap } from "./meta.ts";

/**
 * By what an API server shows that it passes on somebody else's request, and where it says whose: Kubernetes' authentication by request
 * headers. Names of headers are in lower case.
 */
export interface FrontProxyTrust {
  /** Authorities of the API server's client certificate, each in PEM. */
  readonly authorities: readonly string[];
  /** Common names that the certificate may have; any when empty. */
  readonly allowedNames: readonly string[];
  readonly userHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraPrefixes: readonly string[];
}

/** Where every Kubernetes API server tells the servers behind it whom to trust. */
export const frontProxyConfigMap = { namespace: "kube-system", name: "extension-apiserver-authentication" } as const;

function texts(data: StringMap, key: string): readonly string[] {
  const text = data[key];
  if (text === undefined) return [];
  const value: unknown = JSON.parse(text);
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  throw new SyntaxError("it is no list of texts");
}

function headers(data: StringMap, key: string): readonly string[] {
  return texts(data, key).map((name) => name.trim().toLowerCase());
}

function certificates(text: string): readonly string[] {
  const all = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  for (const one of all) void new X509Certificate(one);
  return all;
}

/**
 * Reads the ConfigMap `extension-apiserver-authentication` of a cluster.
 * @returns what to trust, or what is wrong with it, in words for people.
 */
export function readFrontProxyTrust(data: StringMap): FrontProxyTrust | string {
  const place = `ConfigMap ${frontProxyConfigMap.namespace}/${frontProxyConfigMap.name}`;
  try {
    const trust = {
      authorities: certificates(data["requestheader-client-ca-file"] ?? ""),
      allowedNames: texts(data, "requestheader-allowed-names"),
      userHeaders: headers(data, "requestheader-username-headers"),
      uidHeaders: headers(data, "requestheader-uid-headers"),
      groupHeaders: headers(data, "requestheader-group-headers"),
      extraPrefixes: headers(data, "requestheader-extra-headers-prefix"),
    };
    if (trust.authorities.length > 0 && trust.userHeaders.length > 0) return trust;
    const missing = trust.authorities.length === 0 ? "requestheader-client-ca-file" : "requestheader-username-headers";
    return `${place} has no ${missing}: start the cluster's kube-apiserver with its --requestheader-* flags`;
  } catch (error) {
    return `${place} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
