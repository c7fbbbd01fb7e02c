import type { Service } from "#api/kubernetes/service.ts";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import { listed } from "#model/findings/finding.ts";
import { labelsMatch } from "#model/labels.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import { isControlPlane, type MeshObjects, type PodSpec, type Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";
import { fieldPointer } from "#api/field-path.ts";

type ServiceSpec = Service["spec"];
type DeploymentSpec = Deployment["spec"];

/** A port of a Service that leads to a Deployment's Pods. */
interface ServedPort {
  readonly service: string;
  readonly port: number;
  readonly transport: string;
  readonly targetPort: string;
}

const injectLabel = "sidecar.istio.io/inject";

/** Whether Pods made from a template take part in the mesh. */
function inMesh({ template: { metadata } }: DeploymentSpec): boolean {
  const { labels = {}, annotations = {} } = metadata ?? {};
  return (labels[injectLabel] ?? annotations[injectLabel]) !== "false";
}

function portsOf({ namespace, cluster, spec }: Subject<DeploymentSpec>, { all }: MeshObjects): readonly ServedPort[] {
  const labels = spec.template.metadata?.labels ?? {};
  return all<ServiceSpec>("Service").flatMap((service) => {
    const { selector = {}, ports = [] } = service.spec;
    const isOther = service.namespace !== namespace || service.cluster !== cluster;
    if (isOther || Object.keys(selector).length === 0 || !labelsMatch(selector, labels)) return [];
    return ports.map(({ port, protocol, targetPort }) => ({
      service: service.name,
      port,
      transport: protocol,
      targetPort: String(targetPort === undefined || targetPort === 0 || targetPort === "" ? port : targetPort),
    }));
  });
}

function services(ports: readonly ServedPort[]): string {
  return listed([...new Set(ports.map(({ service }) => service))].toSorted());
}

function* conflicts(deployment: Subject<DeploymentSpec>, objects: MeshObjects): Generator<Problem> {
  const { ref, name, spec } = deployment;
  if (!inMesh(spec)) return;
  const ports = portsOf(deployment, objects);
  const field = "metadata.name";
  for (const [port, same] of Map.groupBy(ports, (each) => each.port)) {
    const transports = [...new Set(same.map(({ transport }) => transport))];
    if (transports.length < 2) continue;
    const message = `Deployment ${name} is behind port ${port} of ${services(same)} with different protocols: ${listed(transports)}.`;
    yield problemOf(ref, { code: "DeploymentAssociatedToMultipleServices", field, message });
  }
  for (const [target, same] of Map.groupBy(ports, ({ targetPort }) => targetPort)) {
    const numbers = [...new Set(same.map(({ port }) => String(port)))];
    if (numbers.length < 2) continue;
    const message = `Deployment ${name} is behind several ports, ${listed(numbers)} of ${services(same)}, with one targetPort ${target}; which of them traffic belongs to cannot be told.`;
    yield problemOf(ref, { code: "DeploymentConflictingPorts", field, message });
  }
}

/** Services that get in each other's way at a Deployment. */
export const multiServiceAnalyzer: Analyzer = {
  name: "deployment.MultiServiceAnalyzer",
  description: "Checks association between Services and Deployments",
  *problems(objects) {
    for (const deployment of objects.all<DeploymentSpec>("Deployment")) yield* conflicts(deployment, objects);
  },
};

/** The user as which sidecars run: what that user sends is not captured. */
const proxyUser = 1337;
const proxyContainers: ReadonlySet<string> = new Set(["istio-proxy", "operator"]);

function* usersOf(subject: Subject<unknown>, spec: PodSpec, at: string): Generator<Problem> {
  if (isControlPlane(subject)) return;
  const places = [
    { field: `${at}.securityContext.runAsUser`, user: spec.securityContext?.runAsUser },
    ...(spec.containers ?? []).map(({ name, securityContext }, index) => ({
      field: `${at}.containers[${index}].securityContext.runAsUser`,
      user: proxyContainers.has(name) ? undefined : securityContext?.runAsUser,
    })),
  ];
  for (const { field, user } of places) {
    if (user !== proxyUser) continue;
    const message = `User ID ${proxyUser} is the sidecar's own: what it sends is not captured. Run the application as another user.`;
    const fix = { text: "Leave the user to the image.", patch: [{ op: "remove", path: fieldPointer(field) }] } as const;
    yield problemOf(subject.ref, { code: "InvalidApplicationUID", field, message, fix });
  }
}

/** Pods that somebody wrote; those of controllers are judged by their templates. */
export function ownPods({ all }: MeshObjects): readonly Subject<PodSpec>[] {
  return all<PodSpec>("Pod").filter(({ object }) => (object.metadata.ownerReferences ?? []).length === 0);
}

/** Applications that run as the sidecar's user. */
export const applicationUidAnalyzer: Analyzer = {
  name: "applicationUID.Analyzer",
  description: "Checks that no application runs as the sidecar's user",
  *problems(objects) {
    for (const pod of ownPods(objects)) yield* usersOf(pod, pod.spec, "spec");
    for (const deployment of objects.all<DeploymentSpec>("Deployment")) {
      yield* usersOf(deployment, deployment.spec.template.spec, "spec.template.spec");
    }
  },
};
