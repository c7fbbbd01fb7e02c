import { join } from "node:path";
import { readFileSync } from "node:fs";
import { WeftError } from "#base/errors.ts";
import type { ServerAddress } from "./connection.ts";

/** Where a Pod finds the credentials of its service account. Kubernetes' path. */
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The API of the cluster that a Pod runs in, as its service account.
 * @param environment the Pod's variables, of which Kubernetes sets those of its own Service.
 * @throws WeftError `FailedPrecondition` outside of a Pod.
 */
export function inClusterAddress(environment: Readonly<Record<string, string | undefined>>): ServerAddress {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (host === undefined) {
    throw new WeftError(
      "FailedPrecondition",
      "in-cluster is for Pods: KUBERNETES_SERVICE_HOST is not set; give a kubeconfig",
    );
  }
  return {
    url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    ca: readFileSync(join(accountFolder, "ca.crt"), "utf8"),
    tokenFile: join(accountFolder, "token"),
  };
}
