import { describe, expect, test } from "vitest";
import { isObject, type JsonObject } from "#api/json.ts";
import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { type InjectionContext, injected } from "./inject.ts";
import { readSettings } from "./read-settings.ts";

/** A Pod as the API server hands it to a webhook: of one application, unless told. */
function podOf(metadata: object = {}, spec: object = {}): Pod {
  const app = { name: "app", image: "app:1", ports: [{ name: "http", containerPort: 8080 }] };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "reviews-v1", namespace: "shop", labels: { app: "reviews" }, ...metadata },
    spec: { containers: [app], ...spec },
  } as unknown as Pod;
}

/** Settings by Istio's values and configuration. */
function contextOf(values: object = {}, more: Partial<InjectionContext> = {}, config = ""): InjectionContext {
  return {
    namespace: "shop",
    settings: readSettings({ config, values: JSON.stringify(values) }),
    config: {},
    mesh: { trustDomain: "cluster.local", inboundToLoopback: false, prometheusMerge: true },
    revision: "default",
    native: true,
    ...more,
  };
}

const inject = (pod: Pod, context = contextOf()): Pod => injected(pod, context);

function names(list: readonly Container[] = []): readonly string[] {
  return list.map(({ name }) => name);
}

function proxyOf({ spec }: Pod): Container {
  const found = [...(spec.initContainers ?? []), ...spec.containers].find(({ name }) => name === "istio-proxy");
  if (!found) throw new Error("the Pod has no proxy");
  return found;
}

function variable(pod: Pod, name: string): string | undefined {
  return proxyOf(pod).env?.find((each) => each.name === name)?.value;
}

function flag(pod: Pod, name: string): string | undefined {
  const { args = [] } = (pod.spec.initContainers ?? []).find((each) => each.name === "istio-init") ?? {};
  return args.includes(name) ? args[args.indexOf(name) + 1] : undefined;
}

const annotated = (annotations: object, spec: object = {}): Pod => podOf({ annotations }, spec);

describe("a sidecar", () => {
  test("is an init container that goes on, after what captures and before all others", () => {
    const pod = inject(podOf({}, { initContainers: [{ name: "migrate" }] }));
    expect(names(pod.spec.initContainers)).toEqual(["istio-init", "istio-proxy", "migrate"]);
    expect(names(pod.spec.containers)).toEqual(["app"]);
    expect(proxyOf(pod)).toMatchObject({
      restartPolicy: "Always",
      lifecycle: { preStop: { exec: { command: ["pilot-agent", "request", "--debug-port=15020", "POST", "drain"] } } },
      startupProbe: { httpGet: { path: "/healthz/ready", port: 15021 }, failureThreshold: 600 },
      securityContext: { runAsUser: 1337, runAsGroup: 1337, readOnlyRootFilesystem: true },
    });
  });

  test("is a container beside the others where nodes have no native sidecars, and the last one", () => {
    const pod = inject(podOf({}, { initContainers: [{ name: "migrate" }] }), contextOf({}, { native: false }));
    expect(names(pod.spec.initContainers)).toEqual(["migrate", "istio-init"]);
    expect(names(pod.spec.containers)).toEqual(["app", "istio-proxy"]);
    expect(proxyOf(pod).lifecycle).toBeUndefined();
  });

  test("is what the Pod's annotation says", () => {
    const classic = inject(annotated({ "sidecar.istio.io/nativeSidecar": "false" }));
    expect(names(classic.spec.containers)).toEqual(["app", "istio-proxy"]);
    const native = inject(annotated({ "sidecar.istio.io/nativeSidecar": "true" }), contextOf({}, { native: false }));
    expect(names(native.spec.initContainers)).toEqual(["istio-init", "istio-proxy"]);
  });

  test("holds the application where it is a container and the settings of proxies say so", () => {
    const config = { holdApplicationUntilProxyStarts: true };
    const pod = inject(podOf(), contextOf({}, { native: false, config }));
    expect(names(pod.spec.containers)).toEqual(["istio-proxy", "app"]);
    expect(proxyOf(pod).lifecycle).toEqual({ postStart: { exec: { command: ["pilot-agent", "wait"] } } });
  });

  test("is found by its labels and annotations", () => {
    const { metadata } = inject(podOf({ labels: { app: "reviews", version: "v2" } }));
    expect(metadata.labels).toEqual({
      app: "reviews",
      version: "v2",
      "security.istio.io/tlsMode": "istio",
      "service.istio.io/canonical-name": "reviews",
      "service.istio.io/canonical-revision": "v2",
    });
    expect(metadata.annotations).toMatchObject({
      "istio.io/rev": "default",
      "kubectl.kubernetes.io/default-container": "app",
      "kubectl.kubernetes.io/default-logs-container": "app",
    });
    expect(JSON.parse(metadata.annotations!["sidecar.istio.io/status"]!)).toMatchObject({
      initContainers: ["istio-init", "istio-proxy"],
      containers: null,
      revision: "default",
    });
  });

  test("proves itself by a token for the mesh's authority, and knows the mesh's roots", () => {
    const { volumes = [] } = inject(podOf()).spec;
    const named = (name: string) => volumes.find((volume) => volume.name === name);
    expect(named("istio-token")).toMatchObject({
      projected: { sources: [{ serviceAccountToken: { path: "istio-token", audience: "istio-ca" } }] },
    });
    expect(named("istiod-ca-cert")).toMatchObject({ configMap: { name: "istio-ca-root-cert" } });
    expect(proxyOf(inject(podOf())).volumeMounts).toContainEqual({
      name: "istio-token",
      mountPath: "/var/run/secrets/tokens",
    });
  });

  test("knows its control plane, cluster, network and workload by its environment", () => {
    const owner = { kind: "ReplicaSet", name: "reviews-v1-5f9c7", apiVersion: "apps/v1", uid: "1", controller: true };
    const labels = { "pod-template-hash": "5f9c7" };
    const values = { global: { meshID: "mesh-1", multiCluster: { clusterName: "east" }, network: "n1" } };
    const pod = inject(podOf({ ownerReferences: [owner], labels }), contextOf(values, { revision: "canary" }));
    expect(variable(pod, "CA_ADDR")).toBe("istiod-canary.istio-system.svc:15012");
    expect(JSON.parse(variable(pod, "PROXY_CONFIG")!)).toEqual({
      discoveryAddress: "istiod-canary.istio-system.svc:15012",
    });
    expect(variable(pod, "ISTIO_META_CLUSTER_ID")).toBe("east");
    expect(variable(pod, "ISTIO_META_NETWORK")).toBe("n1");
    expect(variable(pod, "ISTIO_META_MESH_ID")).toBe("mesh-1");
    expect(variable(pod, "ISTIO_META_APP_CONTAINERS")).toBe("app");
    expect(variable(pod, "ISTIO_META_WORKLOAD_NAME")).toBe("reviews-v1");
    expect(variable(pod, "ISTIO_META_OWNER")).toBe("kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews-v1");
    expect(pod.metadata.labels?.["topology.istio.io/network"]).toBe("n1");
    expect(pod.metadata.annotations?.["istio.io/rev"]).toBe("canary");
  });

  test("has the cluster and the network of the webhook's address, and the network of the Pod's label before it", () => {
    const context = contextOf({}, { cluster: "west", network: "n2" });
    const pod = inject(podOf({ labels: { "topology.istio.io/network": "n3" } }), context);
    expect(variable(pod, "ISTIO_META_CLUSTER_ID")).toBe("west");
    expect(variable(pod, "ISTIO_META_NETWORK")).toBe("n3");
  });

  test("is told how it is started, and its metadata are variables", () => {
    const config = { concurrency: 4, proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } };
    const pod = inject(podOf(), contextOf({}, { config }));
    expect(JSON.parse(variable(pod, "PROXY_CONFIG")!)).toEqual(config);
    expect(variable(pod, "ISTIO_META_DNS_CAPTURE")).toBe("true");
    expect(pod.spec.initContainers?.[0]?.env).toEqual([{ name: "ISTIO_META_DNS_CAPTURE", value: "true" }]);
  });
});

describe("annotations", () => {
  test("say which traffic is captured", () => {
    const prefix = "traffic.sidecar.istio.io/";
    const pod = inject(
      annotated({
        [`${prefix}includeOutboundIPRanges`]: "10.0.0.0/8",
        [`${prefix}excludeOutboundIPRanges`]: "10.1.0.0/16",
        [`${prefix}includeInboundPorts`]: "80,81",
        [`${prefix}excludeInboundPorts`]: "9000",
        [`${prefix}includeOutboundPorts`]: "443",
        [`${prefix}excludeOutboundPorts`]: "25",
        [`${prefix}excludeInterfaces`]: "eth1",
        "istio.io/reroute-virtual-interfaces": "net1",
      }),
    );
    const flags = { "-i": "10.0.0.0/8", "-x": "10.1.0.0/16", "-b": "80,81", "-d": "15090,15021,9000,15020" };
    for (const [name, value] of Object.entries({ ...flags, "-q": "443", "-o": "25", "-c": "eth1", "-k": "net1" }))
      expect(flag(pod, name)).toBe(value);
  });

  test("say that nothing is captured", () => {
    const pod = inject(annotated({ "sidecar.istio.io/interceptionMode": "NONE" }));
    expect(names(pod.spec.initContainers)).toEqual(["istio-proxy"]);
    expect(variable(pod, "ISTIO_META_INTERCEPTION_MODE")).toBe("NONE");
  });

  test("say the image, the resources, the levels of logs and the times of readiness", () => {
    const pod = inject(
      annotated({
        "sidecar.istio.io/proxyImage": "example.com/proxy:2",
        "sidecar.istio.io/proxyCPU": "50m",
        "sidecar.istio.io/proxyMemoryLimit": "64Mi",
        "sidecar.istio.io/logLevel": "debug",
        "sidecar.istio.io/agentLogLevel": "all:debug",
        "readiness.status.sidecar.istio.io/periodSeconds": "7",
        "status.sidecar.istio.io/port": "15099",
      }),
    );
    const proxy = proxyOf(pod);
    expect(proxy.image).toBe("example.com/proxy:2");
    expect(proxy.resources).toEqual({ requests: { cpu: "50m" }, limits: { memory: "64Mi" } });
    expect(proxy.args).toEqual(expect.arrayContaining(["--proxyLogLevel=debug", "--log_output_level=all:debug"]));
    expect(proxy.readinessProbe?.periodSeconds).toBe(7);
    expect(flag(pod, "-d")).toBe("15090,15021,15099");
    const kind = inject(
      annotated({ "sidecar.istio.io/proxyImageType": "debug" }),
      contextOf({ global: { tag: "1.2-distroless" } }),
    );
    expect(proxyOf(kind).image).toBe("weft/proxyv2:1.2-debug");
  });

  test("add volumes to the proxy", () => {
    const pod = inject(
      annotated({
        "sidecar.istio.io/userVolume": '{"certs":{"secret":{"secretName":"mine"}}}',
        "sidecar.istio.io/userVolumeMount": '{"certs":{"mountPath":"/certs","readOnly":true}}',
      }),
    );
    expect(pod.spec.volumes).toContainEqual({ name: "certs", secret: { secretName: "mine" } });
    expect(proxyOf(pod).volumeMounts).toContainEqual({ name: "certs", mountPath: "/certs", readOnly: true });
  });

  test.each([
    [{ "traffic.sidecar.istio.io/excludeInboundPorts": "many" }, /excludeInboundPorts: "many" must be ports/],
    [{ "sidecar.istio.io/interceptionMode": "SOME" }, /interceptionMode: "SOME" must be REDIRECT/],
    [{ "sidecar.istio.io/proxyCPU": "lots" }, /proxyCPU: "lots" must be a quantity/],
    [{ "sidecar.istio.io/userVolume": "[" }, /userVolume is no map in JSON/],
    [{ "inject.istio.io/templates": "missing" }, /no template "missing": there are gateway, sidecar/],
    [{ "prometheus.io/scrape": "true", "prometheus.io/port": "15090" }, /15090 is a port of the mesh itself/],
  ])("%o is refused", (annotations, message) => {
    expect(() => inject(annotated(annotations))).toThrow(message);
  });
});

describe("with a CNI plugin", () => {
  const cni = contextOf({ pilot: { cni: { enabled: true } } });

  test("no container captures: one looks whether the plugin has, as the proxy's user", () => {
    const pod = inject(podOf(), cni);
    expect(names(pod.spec.initContainers)).toEqual(["istio-validation", "istio-proxy"]);
    expect(pod.spec.initContainers?.[0]).toMatchObject({
      args: expect.arrayContaining(["--run-validation", "--skip-rule-apply"]) as unknown,
      securityContext: { runAsUser: 1337, runAsNonRoot: true, capabilities: { drop: ["ALL"] } },
    });
  });

  test("the plugin is told by annotations", () => {
    const { annotations } = inject(annotated({ "traffic.sidecar.istio.io/excludeOutboundPorts": "25" }), cni).metadata;
    expect(annotations).toMatchObject({
      "sidecar.istio.io/interceptionMode": "REDIRECT",
      "traffic.sidecar.istio.io/includeInboundPorts": "*",
      "traffic.sidecar.istio.io/excludeInboundPorts": "15020",
      "traffic.sidecar.istio.io/excludeOutboundPorts": "25",
    });
  });
});

describe("probes", () => {
  const probed = {
    name: "app",
    ports: [{ name: "http", containerPort: 8080 }],
    readinessProbe: { httpGet: { path: "/ready", port: "http", scheme: "HTTPS" }, timeoutSeconds: 2, periodSeconds: 5 },
    livenessProbe: { tcpSocket: { port: 8081 } },
    startupProbe: { grpc: { port: 8082, service: "s" } },
    lifecycle: { preStop: { httpGet: { path: "/stop", port: 8080 } }, postStart: { exec: { command: ["true"] } } },
  };
  const pod = podOf({}, { containers: [probed] });

  test("of HTTP, TCP and gRPC are asked of the proxy's agent, which knows what to ask", () => {
    const done = inject(pod);
    const { readinessProbe, livenessProbe, startupProbe, lifecycle } = done.spec.containers[0]!;
    const at = (path: string) => ({ path, port: 15020 });
    expect(readinessProbe).toEqual({
      httpGet: { ...at("/app-health/app/readyz"), scheme: "HTTP" },
      timeoutSeconds: 2,
      periodSeconds: 5,
    });
    expect(livenessProbe).toEqual({ httpGet: at("/app-health/app/livez") });
    expect(startupProbe).toEqual({ httpGet: at("/app-health/app/startupz") });
    expect(lifecycle).toEqual({
      preStop: { httpGet: at("/app-lifecycle/app/prestopz") },
      postStart: { exec: { command: ["true"] } },
    });
    expect(JSON.parse(variable(done, "ISTIO_KUBE_APP_PROBERS")!)).toEqual({
      "/app-health/app/readyz": { httpGet: { path: "/ready", port: 8080, scheme: "HTTPS" }, timeoutSeconds: 2 },
      "/app-health/app/livez": { tcpSocket: { port: 8081 } },
      "/app-health/app/startupz": { grpc: { port: 8082, service: "s" } },
      "/app-lifecycle/app/prestopz": { httpGet: { path: "/stop", port: 8080 } },
    });
  });

  test("stay where the Pod asks for it", () => {
    const done = inject(podOf({ annotations: { "sidecar.istio.io/rewriteAppHTTPProbers": "false" } }, pod.spec));
    expect(done.spec.containers[0]).toEqual(probed);
    expect(variable(done, "ISTIO_KUBE_APP_PROBERS")).toBeUndefined();
  });
});

describe("metrics", () => {
  const scraped = { "prometheus.io/scrape": "true", "prometheus.io/port": "9000", "prometheus.io/path": "/own" };
  const merged = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "15020",
    "prometheus.io/path": "/stats/prometheus",
  };

  test("are read at the agent, which knows where the application's are", () => {
    const pod = inject(annotated(scraped));
    expect(pod.metadata.annotations).toMatchObject(merged);
    expect(JSON.parse(variable(pod, "ISTIO_PROMETHEUS_ANNOTATIONS")!)).toEqual({
      scrape: "true",
      path: "/own",
      port: "9000",
    });
  });

  test("of a Pod that says nothing of them are the proxy's", () => {
    const pod = inject(podOf());
    expect(pod.metadata.annotations).toMatchObject(merged);
    expect(variable(pod, "ISTIO_PROMETHEUS_ANNOTATIONS")).toBeUndefined();
  });

  test("stay where Pod or mesh ask for it", () => {
    const refused = { ...scraped, "prometheus.istio.io/merge-metrics": "false" };
    expect(inject(annotated(refused)).metadata.annotations).toMatchObject(refused);
    const mesh = { trustDomain: "cluster.local", inboundToLoopback: false, prometheusMerge: false };
    expect(inject(annotated(scraped), contextOf({}, { mesh })).metadata.annotations).toMatchObject(scraped);
    expect(inject(annotated({ "prometheus.io/scrape": "false" })).metadata.annotations).not.toHaveProperty(
      "prometheus.io/port",
    );
  });
});

describe("what the Pod's owner says of the proxy", () => {
  const own = {
    name: "istio-proxy",
    image: "auto",
    resources: { limits: { cpu: "3" } },
    securityContext: { runAsUser: 1234 },
  };
  const pod = podOf({}, { containers: [{ name: "app", image: "app:1" }, own] });

  test("goes before what is injected", () => {
    const done = inject(pod);
    expect(names(done.spec.initContainers)).toEqual(["istio-init", "istio-proxy"]);
    expect(names(done.spec.containers)).toEqual(["app"]);
    const proxy = proxyOf(done);
    expect(proxy.image).toBe("weft/proxyv2:latest");
    expect(proxy.resources?.limits).toEqual({ cpu: "3", memory: "1Gi" });
    expect(proxy.securityContext).toMatchObject({ runAsUser: 1234, runAsGroup: 1337 });
    expect(flag(done, "-u")).toBe("1234");
  });

  test("and is kept, so that injecting again comes out the same", () => {
    const once = inject(pod);
    expect(JSON.parse(once.metadata.annotations!["proxy.istio.io/overrides"]!)).toEqual({
      initContainers: [
        { name: "istio-proxy", resources: { limits: { cpu: "3" } }, securityContext: { runAsUser: 1234 } },
      ],
    });
    const again = inject(once);
    expect(again.metadata).toEqual(once.metadata);
    expect(sorted(again.spec)).toEqual(sorted(once.spec));
  });

  test("injecting again keeps what the agent is to ask, and what it finds metrics by", () => {
    const annotations = { "prometheus.io/scrape": "true", "prometheus.io/port": "9000" };
    const container = { name: "app", readinessProbe: { httpGet: { path: "/ready", port: 8080 } } };
    const once = inject(podOf({ annotations }, { containers: [container] }));
    const again = inject(once);
    expect(sorted(again.spec)).toEqual(sorted(once.spec));
  });
});

/** A value whose lists of named things stand in order: only what is there counts. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(sorted);
    const named = items.every((item): item is JsonObject => isObject(item) && typeof item["name"] === "string");
    return named ? items.toSorted((a, b) => (String(a["name"]) < String(b["name"]) ? -1 : 1)) : items;
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, sorted(member)]));
}

describe("templates", () => {
  test("gateway makes the Pod a proxy, without any capture", () => {
    const container = { name: "istio-proxy", image: "auto", ports: [{ containerPort: 8443 }] };
    const pod = inject(podOf({ annotations: { "inject.istio.io/templates": "gateway" } }, { containers: [container] }));
    expect(names(pod.spec.containers)).toEqual(["istio-proxy"]);
    expect(pod.spec.initContainers).toBeUndefined();
    expect(proxyOf(pod).args?.slice(0, 2)).toEqual(["proxy", "router"]);
    expect(proxyOf(pod).ports).toContainEqual({ containerPort: 8443 });
    expect(pod.spec.securityContext).toEqual({
      sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
    });
  });

  const config = `
defaultTemplates: [sidecar]
aliases: { ours: [sidecar, extra] }
templates:
  extra: |
    metadata: { labels: { team: a } }
    spec:
      containers:
      - name: istio-proxy
        env: [{ name: EXTRA, value: "1" }]
  go: "spec: {{ .Spec }}"
`;

  test("of one's own are merged after each other, by their names and by names for several", () => {
    const context = contextOf({}, { native: false }, config);
    const pod = inject(annotated({ "inject.istio.io/templates": "ours" }), context);
    expect(pod.metadata.labels?.["team"]).toBe("a");
    expect(variable(pod, "EXTRA")).toBe("1");
    expect(variable(pod, "CA_ADDR")).toBe("istiod.istio-system.svc:15012");
  });

  test("that are programs are refused, with the reason", () => {
    const pod = annotated({ "inject.istio.io/templates": "go" });
    expect(() => inject(pod, contextOf({}, {}, config))).toThrow(/"go" cannot be used: it has actions of Go templates/);
  });
});
