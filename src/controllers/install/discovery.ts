import { stringify } from "yaml";
import { type InstallObject, ownObject } from "./object.ts";
import { clusterKubeconfig, clusterMount } from "./cluster-access.ts";
import { type InstallOptions, installNames, installPorts } from "./options.ts";
import { type Mount, type Part, budgetOf, deploymentOf, serviceOf } from "./pods.ts";
import { base64 } from "./server.ts";

const clientMount: Mount = {
  name: "mesh",
  path: "/etc/weft/mesh",
  readOnly: true,
  source: { secret: { secretName: installNames.client } },
};
const objectsMount: Mount = {
  name: "objects",
  path: "/etc/weft/objects",
  readOnly: true,
  source: { configMap: { name: installNames.objects } },
};

/** What the mesh's own API begins with: its settings, its first cluster, and how Pods are injected. */
function meshObjects(options: InstallOptions): readonly object[] {
  const { cluster, network, trustDomain, proxyImage, imagePullPolicy } = options;
  const values = {
    global: {
      imagePullPolicy,
      proxy: { image: proxyImage },
      proxy_init: { image: proxyImage },
      multiCluster: { clusterName: cluster },
      network,
    },
  };
  const api = { apiVersion: "mesh.weft.dev/v1alpha1" };
  return [
    { ...api, kind: "Mesh", metadata: { name: "default" }, spec: { trustDomain } },
    {
      ...api,
      kind: "Cluster",
      metadata: { name: cluster },
      spec: { server: "https://kubernetes.default.svc", ...(network !== "" && { network }) },
    },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { namespace: installNames.namespace, name: "istio-sidecar-injector" },
      data: { values: stringify(values) },
    },
  ];
}

/** The control plane of proxies: xDS, certificates, and the webhooks that inject. */
export function discoveryObjects(options: InstallOptions): readonly InstallObject[] {
  const { cluster, replicas, keys } = options;
  const client = ownObject("v1", "Secret", installNames.client, {
    type: "Opaque",
    data: { kubeconfig: base64(keys.discovery) },
  });
  const text = meshObjects(options)
    .map((object) => `---\n${stringify(object)}`)
    .join("");
  const objects = ownObject("v1", "ConfigMap", installNames.objects, { data: { "objects.yaml": text } });
  const access = `${clientMount.path}/kubeconfig`;
  const part: Part = {
    name: installNames.discovery,
    replicas,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    mounts: [clusterMount, clientMount, objectsMount],
    before: ["apply", `--kubeconfig=${access}`, "--wait=120", "--filename", `${objectsMount.path}/objects.yaml`],
    args: [
      "discovery",
      `--mesh-api=${access}`,
      `--cluster-api=${cluster}=${clusterMount.path}/kubeconfig`,
      "--no-cluster-sockets",
      `--tls-address=0.0.0.0:${installPorts.xds}`,
      `--webhook-address=0.0.0.0:${installPorts.webhooks}`,
      "--status-socket=/run/weft/discovery.sock",
      `--status-address=$(POD_IP):${installPorts.status}`,
      "--replica=$(POD_NAME)",
    ],
    ports: { xds: installPorts.xds, webhooks: installPorts.webhooks, status: installPorts.status },
    probe: installPorts.xds,
    requests: { cpu: "200m", memory: "512Mi" },
    graceSeconds: 30,
    reads: [client, objects, clusterKubeconfig],
    labels: { "istio.io/rev": "default" },
  };
  return [
    client,
    objects,
    serviceOf(part.name, [
      { name: "https-dns", port: installPorts.xds, target: installPorts.xds },
      { name: "https-webhook", port: 443, target: installPorts.webhooks },
    ]),
    deploymentOf(part, options),
    ...budgetOf(part),
  ];
}
