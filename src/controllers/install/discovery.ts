import { stringify } from "yaml";
import { revisionLabel } from "#api/weft/revisions.ts";
import { type InstallObject, ownObject } from "./object.ts";
import { installedLabels } from "../revisions/removed.ts";
import { clusterKubeconfig, clusterMount } from "./cluster-access.ts";
import { type InstallOptions, type MembersPlaces, installNames, installPorts, nameOfRevision } from "./options.ts";
import { type Mount, type Part, budgetOf, deploymentOf, serviceOf } from "./pods.ts";
import { base64 } from "./server.ts";

const clientMount: Mount = {
  name: "mesh",
  path: "/etc/weft/mesh",
  readOnly: true,
  source: { secret: { secretName: installNames.client } },
};

function objectsMount(revision: string): Mount {
  const name = nameOfRevision(installNames.objects, revision);
  return { name: "objects", path: "/etc/weft/objects", readOnly: true, source: { configMap: { name } } };
}

/** How a revision injects Pods. */
function injectorSettings({
  cluster,
  network,
  proxyImage,
  imagePullPolicy,
  revision,
}: Omit<InstallOptions, "keys">): object {
  const values = {
    global: {
      imagePullPolicy,
      proxy: { image: proxyImage },
      proxy_init: { image: proxyImage },
      multiCluster: { clusterName: cluster },
      network,
    },
  };
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      namespace: installNames.namespace,
      name: nameOfRevision("istio-sidecar-injector", revision),
      labels: installedLabels(cluster, revision),
    },
    data: { values: stringify(values) },
  };
}

/** What the mesh's own API begins with: its settings and its first cluster; a revision beside the first adds its own settings alone. */
function meshObjects(options: Omit<InstallOptions, "keys">): readonly object[] {
  const { cluster, network, trustDomain, revision, settings } = options;
  const injector = injectorSettings(options);
  if (revision !== "default") return [injector];
  const api = { apiVersion: "mesh.weft.dev/v1alpha1" };
  return [
    { ...api, kind: "Mesh", metadata: { name: "default" }, spec: { ...settings, trustDomain } },
    {
      ...api,
      kind: "Cluster",
      metadata: { name: cluster },
      spec: { server: "https://kubernetes.default.svc", ...(network !== "" && { network }) },
    },
    injector,
  ];
}

/** The object with the label by which all of a revision is found. */
export function ofRevision(object: InstallObject, revision: string): InstallObject {
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, labels: { ...metadata.labels, [revisionLabel]: revision } } };
}

/** The kubeconfig of the mesh's API, which all revisions have. */
function clientSecret(kubeconfig: string): InstallObject {
  return ownObject("v1", "Secret", installNames.client, {
    type: "Opaque",
    data: { kubeconfig: base64(kubeconfig) },
  });
}

/** How the control plane is told where members reach it. */
function membersArgs(places: MembersPlaces | undefined): readonly string[] {
  if (!places) return [];
  const { hosts, xds, webhooks } = places.discovery;
  const told = hosts.map((host) => `--members-host=${host}`);
  return [...told, `--members-xds-port=${xds}`, `--members-webhook-port=${webhooks}`];
}

function partOf(options: Omit<InstallOptions, "keys">, reads: readonly InstallObject[]): Part {
  const { cluster, replicas, revision, places, maxProxies } = options;
  const access = `${clientMount.path}/kubeconfig`;
  const objects = objectsMount(revision);
  const app = installNames.discovery;
  return {
    name: nameOfRevision(app, revision),
    app,
    replicas,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    mounts: [clusterMount, clientMount, objects],
    before: ["apply", `--kubeconfig=${access}`, "--wait=120", "--filename", `${objects.path}/objects.yaml`],
    args: [
      "discovery",
      `--revision=${revision}`,
      `--mesh-api=${access}`,
      `--own-cluster=${cluster}`,
      `--cluster-api=${cluster}=${clusterMount.path}/kubeconfig`,
      "--no-cluster-sockets",
      `--tls-address=0.0.0.0:${installPorts.xds}`,
      `--webhook-address=0.0.0.0:${installPorts.webhooks}`,
      "--status-socket=/run/weft/discovery.sock",
      `--status-address=$(POD_IP):${installPorts.status}`,
      "--replica=$(POD_NAME)",
      ...membersArgs(places),
      ...(maxProxies === undefined ? [] : [`--max-proxies=${maxProxies}`]),
    ],
    ports: { xds: installPorts.xds, webhooks: installPorts.webhooks, status: installPorts.status },
    probe: installPorts.xds,
    requests: { cpu: "200m", memory: "512Mi" },
    graceSeconds: 30,
    reads,
    labels: { [revisionLabel]: revision },
    // What a Deployment selects cannot be changed, and that of the first revision was made without its name.
    ...(revision === "default" && { selector: { app } }),
  };
}

/**
 * One revision of the control plane of proxies: xDS, certificates, and the webhooks that inject. The first brings what the others read, too.
 * @param discovery the kubeconfig of the mesh's API; undefined beside a revision that has brought it.
 */
export function discoveryObjects(
  options: Omit<InstallOptions, "keys">,
  discovery: string | undefined,
): readonly InstallObject[] {
  const { revision } = options;
  const client = discovery === undefined ? [] : [clientSecret(discovery)];
  const text = meshObjects(options)
    .map((object) => `---\n${stringify(object)}`)
    .join("");
  const name = nameOfRevision(installNames.objects, revision);
  const objects = ofRevision(ownObject("v1", "ConfigMap", name, { data: { "objects.yaml": text } }), revision);
  const part = partOf(options, [...client, objects, clusterKubeconfig]);
  const service = serviceOf(part, [
    { name: "https-dns", port: installPorts.xds, target: installPorts.xds },
    { name: "https-webhook", port: 443, target: installPorts.webhooks },
  ]);
  return [
    ...client,
    objects,
    ofRevision(service, revision),
    ofRevision(deploymentOf(part, options), revision),
    ...budgetOf(part).map((each) => ofRevision(each, revision)),
  ];
}
