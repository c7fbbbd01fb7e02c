import { isObject, type JsonObject } from "#api/json.ts";
import { WeftError } from "#base/errors.ts";
import type { TemplateContext } from "./context.ts";

/** Volumes of the Pod, and where the proxy's container has them. */
export interface ProxyVolumes {
  readonly volumes: readonly object[];
  readonly mounts: readonly object[];
}

/** Volumes, or mounts, that a Pod's owner adds to the proxy by an annotation: a map in JSON, by name. */
function ofUser({ pod }: TemplateContext, annotation: string): readonly object[] {
  const text = pod.metadata.annotations?.[annotation];
  if (text === undefined) return [];
  let map: unknown;
  try {
    map = JSON.parse(text);
  } catch {
    map = undefined;
  }
  if (!isObject(map)) throw new WeftError("InvalidArgument", `annotation ${annotation} is no map in JSON, by names`);
  return Object.entries(map).map(([name, value]) => ({ name, ...(value as JsonObject) }));
}

function pathOf(path: string): object {
  return { path, fieldRef: { fieldPath: `metadata.${path}` } };
}

function empty(name: string): object {
  return { name, emptyDir: {} };
}

/** Lists of revoked certificates, which Istio gives to sidecars alone. */
const sidecarVolumes = [{ name: "istio-ca-crl", configMap: { name: "istio-ca-crl", optional: true } }];
const sidecarMounts = [{ name: "istio-ca-crl", mountPath: "/var/run/secrets/istio/crl" }];

/** The volumes of a proxy, under Istio's names and in Istio's places. */
export function proxyVolumes(context: TemplateContext, role: "sidecar" | "gateway"): ProxyVolumes {
  const override = context.pod.metadata.annotations?.["sidecar.istio.io/bootstrapOverride"];
  const bootstrap = "custom-bootstrap-volume";
  const token = { path: "istio-token", expirationSeconds: 43_200, audience: "istio-ca" };
  return {
    volumes: [
      ...["workload-socket", "credential-socket", "workload-certs"].map(empty),
      ...(override === undefined ? [] : [{ name: bootstrap, configMap: { name: override } }]),
      { name: "istio-envoy", emptyDir: { medium: "Memory" } },
      empty("istio-data"),
      { name: "istio-podinfo", downwardAPI: { items: [pathOf("labels"), pathOf("annotations")] } },
      { name: "istio-token", projected: { sources: [{ serviceAccountToken: token }] } },
      { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
      ...(role === "sidecar" ? sidecarVolumes : []),
      ...(role === "sidecar" ? ofUser(context, "sidecar.istio.io/userVolume") : []),
    ],
    mounts: [
      { name: "workload-socket", mountPath: "/var/run/secrets/workload-spiffe-uds" },
      { name: "credential-socket", mountPath: "/var/run/secrets/credential-uds" },
      { name: "workload-certs", mountPath: "/var/run/secrets/workload-spiffe-credentials" },
      { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
      ...(role === "sidecar" ? sidecarMounts : []),
      { name: "istio-data", mountPath: "/var/lib/istio/data" },
      ...(override === undefined ? [] : [{ name: bootstrap, mountPath: "/etc/istio/custom-bootstrap" }]),
      { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
      { name: "istio-token", mountPath: "/var/run/secrets/tokens" },
      { name: "istio-podinfo", mountPath: "/etc/istio/pod" },
      ...(role === "sidecar" ? ofUser(context, "sidecar.istio.io/userVolumeMount") : []),
    ],
  };
}
