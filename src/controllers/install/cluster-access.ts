import { stringify } from "yaml";
import { type InstallObject, ownObject } from "./object.ts";
import { installNames } from "./options.ts";
import type { Mount } from "./pods.ts";

/** Where Kubernetes puts the credentials of a Pod's account. */
const account = "/var/run/secrets/kubernetes.io/serviceaccount";

const kubeconfig = {
  apiVersion: "v1",
  kind: "Config",
  clusters: [
    {
      name: "own",
      cluster: { server: "https://kubernetes.default.svc", "certificate-authority": `${account}/ca.crt` },
    },
  ],
  users: [{ name: "own", user: { tokenFile: `${account}/token` } }],
  contexts: [{ name: "own", context: { cluster: "own", user: "own" } }],
  "current-context": "own",
};

/** A kubeconfig by which each part reaches the cluster's API as its own account; it holds no secret. */
export const clusterKubeconfig: InstallObject = ownObject("v1", "ConfigMap", installNames.cluster, {
  data: { kubeconfig: stringify(kubeconfig) },
});

/** Where parts find it. */
export const clusterMount: Mount = {
  name: "cluster",
  path: "/etc/weft/cluster",
  readOnly: true,
  source: { configMap: { name: installNames.cluster } },
};
