import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { containerNames } from "./template/context.ts";

type Probe = NonNullable<Container["readinessProbe"]>;
type Handler = NonNullable<NonNullable<Container["lifecycle"]>["preStop"]>;
type HttpGet = NonNullable<Probe["httpGet"]>;

/** A question that the proxy's agent puts to the application in the kubelet's place, as Istio's agent reads it. */
export interface AppProbe {
  readonly httpGet?: HttpGet;
  readonly tcpSocket?: NonNullable<Probe["tcpSocket"]>;
  readonly grpc?: NonNullable<Probe["grpc"]>;
  readonly timeoutSeconds?: number;
}

/** What the agent asks, by the path that it is asked at. */
export type AppProbes = Readonly<Record<string, AppProbe>>;

/** A place of a container that may hold a question: its path at the agent, and the question. */
interface Place {
  readonly path: string;
  readonly asked: Probe | Handler | undefined;
}

function placesOf({ name, readinessProbe, livenessProbe, startupProbe, lifecycle }: Container): readonly Place[] {
  return [
    { path: `/app-health/${name}/readyz`, asked: readinessProbe },
    { path: `/app-health/${name}/livez`, asked: livenessProbe },
    { path: `/app-health/${name}/startupz`, asked: startupProbe },
    { path: `/app-lifecycle/${name}/prestopz`, asked: lifecycle?.preStop },
    { path: `/app-lifecycle/${name}/poststartz`, asked: lifecycle?.postStart },
  ];
}

function applications({ spec }: Pod): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers].filter(({ name }) => name !== containerNames.proxy);
}

/** A port by its number; undefined for a name that the container has not. */
function portOf(port: string | number, { ports = [] }: Container): number | undefined {
  if (typeof port === "number") return port;
  return /^\d+$/.test(port) ? Number(port) : ports.find(({ name }) => name === port)?.containerPort;
}

function probeOf(asked: Probe | Handler, container: Container, statusPort: number): AppProbe | undefined {
  const limit = "timeoutSeconds" in asked ? { timeoutSeconds: asked.timeoutSeconds } : {};
  if ("grpc" in asked && asked.grpc !== undefined) return { grpc: asked.grpc, ...limit };
  const { httpGet, tcpSocket } = asked;
  const target = httpGet ?? tcpSocket;
  const port = target && portOf(target.port, container);
  // What is asked of the agent was rewritten before.
  if (port === undefined || port === statusPort) return undefined;
  return httpGet ? { httpGet: { ...httpGet, port }, ...limit } : { tcpSocket: { ...tcpSocket, port }, ...limit };
}

/** The questions that the kubelet would put to a Pod's containers. */
export function appProbes(pod: Pod, statusPort: number): AppProbes {
  const found = applications(pod).flatMap((container) =>
    placesOf(container).flatMap(({ path, asked }) => {
      const probe = asked && probeOf(asked, container, statusPort);
      return probe ? [[path, probe] as const] : [];
    }),
  );
  return Object.fromEntries(found);
}

/** A question that is put to the agent by HTTP, however the application is to be asked. */
function rewritten<T extends Probe | Handler>(asked: T, path: string, port: number): T {
  const { httpGet, tcpSocket, ...others } = asked;
  const { grpc, ...rest } = others as { readonly grpc?: unknown };
  if (httpGet === undefined && tcpSocket === undefined && grpc === undefined) return asked;
  // The agent itself speaks TLS to an application that is asked over it.
  const { scheme, ...get } = httpGet ?? {};
  return { ...rest, httpGet: { ...get, ...(scheme && { scheme: "HTTP" }), path, port } } as unknown as T;
}

function rewrittenContainer(container: Container, port: number): Container {
  if (container.name === containerNames.proxy) return container;
  const { name, readinessProbe, livenessProbe, startupProbe, lifecycle } = container;
  const health = `/app-health/${name}`;
  const life = `/app-lifecycle/${name}`;
  const { preStop, postStart } = lifecycle ?? {};
  return {
    ...container,
    ...(readinessProbe && { readinessProbe: rewritten(readinessProbe, `${health}/readyz`, port) }),
    ...(livenessProbe && { livenessProbe: rewritten(livenessProbe, `${health}/livez`, port) }),
    ...(startupProbe && { startupProbe: rewritten(startupProbe, `${health}/startupz`, port) }),
    ...(lifecycle && {
      lifecycle: {
        ...lifecycle,
        ...(preStop && { preStop: rewritten(preStop, `${life}/prestopz`, port) }),
        ...(postStart && { postStart: rewritten(postStart, `${life}/poststartz`, port) }),
      },
    }),
  };
}

/** A Pod whose containers are asked by way of the proxy's agent, since the kubelet has no certificate of the mesh. */
export function withRewrittenProbes(pod: Pod, port: number): Pod {
  const { initContainers, containers } = pod.spec;
  const spec = {
    ...pod.spec,
    ...(initContainers && { initContainers: initContainers.map((each) => rewrittenContainer(each, port)) }),
    containers: containers.map((each) => rewrittenContainer(each, port)),
  };
  return { ...pod, spec };
}
