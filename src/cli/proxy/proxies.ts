import { WeftError } from "#base/errors.ts";
import type { ProxyObject as Served, TypeObject } from "#discovery/proxy-object.ts";
import type { Client } from "#kube/client.ts";
import type { NodeInfo } from "#translate/proxy-class.ts";

/** A connected proxy as the API tells of it (`status.mesh.weft.dev`, kind `Proxy`). */
export interface ProxyObject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels?: object };
  readonly spec: {
    readonly pod: string;
    readonly cluster: string;
    readonly type: string;
    readonly envoyVersion: string;
    /** What the proxy said of itself. */
    readonly node: NodeInfo;
  };
  readonly status: {
    /** The revision of the control plane that serves it; an earlier version of Weft does not say. */
    readonly revision?: string;
    readonly connectedAt: string;
    readonly types: Readonly<Record<string, TypeObject>>;
    /** What it did lately that it should not. */
    readonly findings?: readonly object[];
    /** Whether it holds all of the mesh or what its workload calls, and why where that is more than it should be. */
    readonly discovery: { readonly mode: string; readonly reason?: string };
    /** How its certificate stands, and more for people; absent where it gets none. */
    readonly certificate?: { readonly state: string; readonly message: string };
    /** Which connections of its Pod are older than it and go past it; absent where there are none. */
    readonly outside?: string;
    /** By what connections are led to it, and more for people; absent where no agent of a node says. */
    readonly hijack?: { readonly state: string; readonly message: string };
  };
}

/** What names a proxy. */
interface NamedProxy {
  readonly metadata: { readonly namespace: string };
  readonly spec: Pick<ProxyObject["spec"], "pod" | "cluster">;
}

/** Root of the API of proxies. */
export const proxiesPath = "/apis/status.mesh.weft.dev/v1alpha1";

/** Every connected proxy, by name. */
export async function listProxies(client: Client): Promise<readonly ProxyObject[]> {
  const all = await listSidecars(client);
  return all.flatMap(({ status, ...rest }) => {
    const { connectedAt, discovery } = status;
    if (connectedAt === undefined || discovery === undefined) return [];
    return { ...rest, status: { ...status, connectedAt, discovery } };
  });
}

/** Every proxy that is known, also such as are not connected, by name. */
export async function listSidecars(client: Client): Promise<readonly Served[]> {
  const path = `${proxiesPath}/proxies`;
  const { items } = await client.json<{ readonly items: readonly Served[] }>({ method: "GET", path });
  return items.toSorted((a, b) => proxyName(a).localeCompare(proxyName(b)));
}

/** `pod.namespace`, as operators of Istio write it. */
export function proxyName({ metadata, spec }: NamedProxy): string {
  return `${spec.pod}.${metadata.namespace}`;
}

/**
 * The proxy that a word names: `pod.namespace`, a Pod, or the beginning of a Pod's name such as its workload.
 * Of several Pods of one workload any will do, and the first is taken.
 * @throws WeftError `NotFound` or, where different workloads fit, `InvalidArgument`.
 */
export function proxyNamed<P extends NamedProxy>(proxies: readonly P[], word: string): P {
  const exact = proxies.find((one) =>
    [proxyName(one), one.spec.pod, `${one.spec.pod}.${one.spec.cluster}`].includes(word),
  );
  if (exact) return exact;
  const [first, ...others] = proxies.filter((one) => proxyName(one).startsWith(`${word}-`));
  if (!first) {
    const known = proxies.map(proxyName).join(", ");
    throw new WeftError(
      "NotFound",
      `no connected proxy is named ${word}; connected are: ${known === "" ? "none" : known}`,
    );
  }
  const namespaces = new Set([first, ...others].map((one) => one.metadata.namespace));
  if (namespaces.size > 1) {
    throw new WeftError(
      "InvalidArgument",
      `${word} fits ${[first, ...others].map(proxyName).join(", ")}: write one of them`,
    );
  }
  return first;
}

/** What a proxy's Envoy answers on its admin interface, as JSON. */
export async function adminJson<T>(client: Client, proxy: ProxyObject, path: string): Promise<T> {
  const { namespace, name } = proxy.metadata;
  return client.json<T>({
    method: "GET",
    path: `${proxiesPath}/namespaces/${namespace}/proxies/${name}/admin/${path}`,
  });
}
