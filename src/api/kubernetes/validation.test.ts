import { describe, expect, test } from "vitest";
import type { ResourceObject } from "../meta.ts";
import { kindOf } from "../kinds.ts";
import { type Case, errorLines, submit } from "../testing/submit.ts";
import type { Admission } from "../validation.ts";

const admit = (group: string, kind: string, body: object, before?: ResourceObject): Admission =>
  submit(kindOf(group, kind), body, { before });
const errorsOf = (group: string, kind: string, body: object, before?: ResourceObject): readonly string[] =>
  errorLines(admit(group, kind, body, before));

const container = { name: "web", image: "web:1" };
const podSpec = (more: object): object => ({ containers: [container], ...more });
const inContainer = (more: object): object => podSpec({ containers: [{ ...container, ...more }] });

describe("Pod", () => {
  const cases: readonly Case[] = [
    [{ containers: [] }, "containers: Required value"],
    [{ containers: [{ name: "web" }] }, "containers[0].image: Required value"],
    [{ containers: [{ image: "a" }] }, "containers[0].name: Required value"],
    [
      { containers: [{ name: "Web", image: "a" }] },
      `containers[0].name: Invalid value: "Web": must be a lowercase RFC 1123 label: lower case letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ],
    [{ containers: [container, container] }, 'containers[1].name: Duplicate value: "web"'],
    [podSpec({ initContainers: [container] }), 'initContainers[0].name: Duplicate value: "web"'],
    [
      inContainer({ image: " a" }),
      'containers[0].image: Invalid value: " a": must not have leading or trailing whitespace',
    ],
    [
      inContainer({ imagePullPolicy: "Sometimes" }),
      'containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
    ],
    [
      inContainer({ ports: [{ containerPort: 0 }] }),
      "containers[0].ports[0].containerPort: Invalid value: 0: must be between 1 and 65535",
    ],
    [
      inContainer({ ports: [{ containerPort: 80, protocol: "HTTP" }] }),
      'containers[0].ports[0].protocol: Unsupported value: "HTTP": supported values: "TCP", "UDP", "SCTP"',
    ],
    [
      inContainer({
        ports: [
          { containerPort: 80, name: "http" },
          { containerPort: 81, name: "http" },
        ],
      }),
      'containers[0].ports[1].name: Duplicate value: "http"',
    ],
    [
      inContainer({ ports: [{ containerPort: 80, name: "a-very-long-port-name" }] }),
      `containers[0].ports[0].name: Invalid value: "a-very-long-port-name": must be lower case letters, digits and single '-', with a letter or digit at both ends and one letter at least, at most 15 characters`,
    ],
    [
      inContainer({ env: [{ name: "a=b" }] }),
      `containers[0].env[0].name: Invalid value: "a=b": must be printable characters other than '='`,
    ],
    [
      inContainer({ env: [{ name: "A", value: "b", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] }),
      'containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ],
    [
      inContainer({ env: [{ name: "A", valueFrom: {} }] }),
      'containers[0].env[0].valueFrom: Invalid value: "": must specify one of `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
    ],
    [
      inContainer({ resources: { limits: { cpu: "lots" } } }),
      'containers[0].resources.limits.cpu: Invalid value: "lots": must be a quantity: a number with or without a unit, such as 500m, 2 or 1Gi',
    ],
    [
      inContainer({ resources: { limits: { cpu: "500m" }, requests: { cpu: 1 } } }),
      'containers[0].resources.requests: Invalid value: "1": must be less than or equal to cpu limit of 500m',
    ],
    [
      inContainer({ volumeMounts: [{ name: "disk", mountPath: "/a" }] }),
      'containers[0].volumeMounts[0].name: Invalid value: "disk": is no volume of the Pod',
    ],
    [
      {
        ...inContainer({
          volumeMounts: [
            { name: "d", mountPath: "/a" },
            { name: "d", mountPath: "/a" },
          ],
        }),
        volumes: [{ name: "d" }],
      },
      'containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
    ],
    [inContainer({ livenessProbe: {} }), "containers[0].livenessProbe: Required value: must specify a handler type"],
    [
      inContainer({ livenessProbe: { httpGet: { port: 80 }, tcpSocket: { port: 80 } } }),
      "containers[0].livenessProbe.tcpSocket: Forbidden: only one of exec, httpGet, tcpSocket, grpc may be set, and httpGet is",
    ],
    [
      inContainer({ livenessProbe: { httpGet: { port: 70_000 } } }),
      "containers[0].livenessProbe.httpGet.port: Invalid value: 70000: must be between 1 and 65535",
    ],
    [
      inContainer({ startupProbe: { exec: { command: ["a"] }, successThreshold: 2 } }),
      "containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1",
    ],
    [inContainer({ readinessProbe: { exec: {} } }), "containers[0].readinessProbe.exec.command: Required value"],
    [
      inContainer({ readinessProbe: { tcpSocket: { port: "x" }, periodSeconds: -1 } }),
      "containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
    ],
    [
      inContainer({ lifecycle: { preStop: {} } }),
      "containers[0].lifecycle.preStop: Required value: must specify a handler type",
    ],
    [
      podSpec({ volumes: [{ name: "a", emptyDir: {}, hostPath: { path: "/" } }] }),
      "volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
    ],
    [podSpec({ volumes: [{ name: "a" }, { name: "a" }] }), 'volumes[1].name: Duplicate value: "a"'],
    [
      podSpec({ restartPolicy: "Sometimes" }),
      'restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ],
    [
      podSpec({ dnsPolicy: "None" }),
      "dnsConfig.nameservers: Required value: must provide at least one nameserver when `dnsPolicy` is None",
    ],
    [
      podSpec({ terminationGracePeriodSeconds: -1 }),
      "terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
    ],
    [podSpec({ hostAliases: [{ ip: "here" }] }), 'hostAliases[0].ip: Invalid value: "here": must be an IP address'],
  ];
  test.each(cases)("%j", (spec, error) => {
    expect(errorsOf("", "Pod", { spec })).toEqual([`spec.${error}`]);
  });

  test("what depends on other fields is filled in", () => {
    const { object, errors } = admit("", "Pod", {
      spec: {
        containers: [
          {
            name: "a",
            image: "registry:5000/a",
            resources: { limits: { cpu: 1, memory: "1Gi" }, requests: { cpu: "100m" } },
          },
          { name: "b", image: "b:latest" },
          { name: "c", image: "registry:5000/c:1.0" },
          { name: "d", image: "d@sha256:00" },
        ],
        volumes: [{ name: "scratch" }],
      },
    });
    expect(errors).toEqual([]);
    expect(object["spec"]).toMatchObject({
      restartPolicy: "Always",
      dnsPolicy: "ClusterFirst",
      terminationGracePeriodSeconds: 30,
      schedulerName: "default-scheduler",
      serviceAccountName: "default",
      serviceAccount: "default",
      volumes: [{ name: "scratch", emptyDir: {} }],
      containers: [
        { imagePullPolicy: "Always", resources: { requests: { cpu: "100m", memory: "1Gi" } } },
        { imagePullPolicy: "Always", terminationMessagePolicy: "File" },
        { imagePullPolicy: "IfNotPresent" },
        { imagePullPolicy: "IfNotPresent" },
      ],
    });
  });

  test("a running Pod keeps its specification, but for its node, images and few others", () => {
    const before = admit("", "Pod", { spec: podSpec({}) }).object;
    const change = (spec: object): readonly string[] => errorsOf("", "Pod", { spec: podSpec(spec) }, before);
    expect(change({})).toEqual([]);
    expect(change({ nodeName: "n1", activeDeadlineSeconds: 5, tolerations: [{ operator: "Exists" }] })).toEqual([]);
    expect(change({ containers: [{ ...container, image: "web:2" }] })).toEqual([]);
    const refused = [expect.stringMatching(/^spec: Forbidden: pod updates may not change fields other than/)];
    expect(change({ hostNetwork: true })).toEqual(refused);
    expect(change({ containers: [{ ...container, args: ["x"] }] })).toEqual(refused);
    const placed = admit("", "Pod", { spec: podSpec({ nodeName: "n1" }) }).object;
    expect(errorsOf("", "Pod", { spec: podSpec({ nodeName: "n2" }) }, placed)).toEqual(refused);
  });
});

const template = (more: object = {}): object => ({ metadata: { labels: { app: "web" } }, spec: podSpec({}), ...more });
const deployment = (more: object): object => ({
  spec: { selector: { matchLabels: { app: "web" } }, template: template(), ...more },
});

describe("Deployment", () => {
  const cases: readonly Case[] = [
    [{ selector: {} }, "selector: Invalid value: {}: must ask for at least one label"],
    [
      { selector: { matchLabels: { app: "other" } } },
      'template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ],
    [
      { selector: { matchExpressions: [{ key: "app", operator: "Is" }] } },
      'selector.matchExpressions[0].operator: Unsupported value: "Is": supported values: "In", "NotIn", "Exists", "DoesNotExist"',
    ],
    [{ replicas: -1 }, "replicas: Invalid value: -1: must be 0 or more"],
    [
      { template: template({ spec: podSpec({ restartPolicy: "Never" }) }) },
      'template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      { template: template({ spec: { containers: [{ name: "web" }] } }) },
      "template.spec.containers[0].image: Required value",
    ],
    [
      { strategy: { type: "Recreate", rollingUpdate: {} } },
      "strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ],
    [
      { strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: "0%" } } },
      "strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
    ],
    [
      { strategy: { rollingUpdate: { maxSurge: "some" } } },
      'strategy.rollingUpdate.maxSurge: Invalid value: "some": must be a count or a percentage, such as 1 or 25%',
    ],
    [
      { strategy: { rollingUpdate: { maxUnavailable: "101%" } } },
      'strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
    ],
    [{ minReadySeconds: 600 }, "progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
  ];
  test.each(cases)("%j", (spec, error) => {
    const errors = errorsOf("apps", "Deployment", deployment(spec));
    expect(errors).toContain(`spec.${error}`);
  });

  test("a selector cannot be changed", () => {
    const before = admit("apps", "Deployment", deployment({})).object;
    const labels = { app: "web", tier: "front" };
    const changed = deployment({ selector: { matchLabels: labels }, template: template({ metadata: { labels } }) });
    expect(errorsOf("apps", "Deployment", changed, before)).toEqual([
      'spec.selector: Invalid value: {"matchLabels":{"app":"web","tier":"front"}}: field is immutable',
    ]);
    expect(errorsOf("apps", "Deployment", deployment({ replicas: 3 }), before)).toEqual([]);
  });

  test("expressions of a selector are matched with the template", () => {
    const matchExpressions = [
      { key: "app", operator: "In", values: ["web", "shop"] },
      { key: "tier", operator: "DoesNotExist" },
      { key: "app", operator: "Exists" },
      { key: "constructor", operator: "DoesNotExist" },
      { key: "zone", operator: "NotIn", values: ["a"] },
    ];
    expect(errorsOf("apps", "Deployment", deployment({ selector: { matchExpressions } }))).toEqual([]);
  });

  test("constants and what depends on other fields are filled in", () => {
    expect(admit("apps", "Deployment", deployment({})).object["spec"]).toMatchObject({
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      template: { spec: { containers: [{ imagePullPolicy: "IfNotPresent" }] } },
    });
    const recreated = admit("apps", "Deployment", deployment({ strategy: { type: "Recreate" } })).object["spec"];
    expect(recreated).toHaveProperty("strategy", { type: "Recreate" });
  });
});

const port = { name: "http", port: 80 };
const service = (more: object): object => ({ spec: { ports: [port], ...more } });

const completed = (more: object): unknown => admit("", "Service", service(more)).object["spec"];

describe("Service", () => {
  const cases: readonly Case[] = [
    [{ ports: [] }, "ports: Required value"],
    [{ ports: [{ port: 0 }] }, "ports[0].port: Invalid value: 0: must be between 1 and 65535"],
    [{ ports: [port, { port: 81 }] }, "ports[1].name: Required value"],
    [{ ports: [port, { ...port, port: 81 }] }, 'ports[1].name: Duplicate value: "http"'],
    [{ ports: [port, { name: "b", port: 80 }] }, 'ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}'],
    [
      { ports: [{ ...port, name: "HTTP" }] },
      `ports[0].name: Invalid value: "HTTP": must be a lowercase RFC 1123 label: lower case letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ],
    [
      { ports: [{ ...port, targetPort: 70_000 }] },
      "ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535",
    ],
    [
      { ports: [{ ...port, targetPort: "not a name" }] },
      `ports[0].targetPort: Invalid value: "not a name": must be lower case letters, digits and single '-', with a letter or digit at both ends and one letter at least, at most 15 characters`,
    ],
    [
      { ports: [{ ...port, appProtocol: "a b" }] },
      `ports[0].appProtocol: Invalid value: "a b": the name must be letters, digits, '-', '_' and '.', with a letter or digit at both ends, at most 63 characters`,
    ],
    [
      { ports: [{ ...port, nodePort: 30_000 }] },
      "ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ],
    [
      { type: "Ingress" },
      'type: Unsupported value: "Ingress": supported values: "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"',
    ],
    [{ type: "ExternalName" }, "externalName: Required value"],
    [
      { type: "ExternalName", externalName: "a_b" },
      `externalName: Invalid value: "a_b": must be a lowercase RFC 1123 subdomain: lower case letters, digits, '-' and '.', with a letter or digit at both ends, at most 253 characters`,
    ],
    [
      { type: "ExternalName", externalName: "a.b", clusterIP: "10.0.0.1" },
      "clusterIPs: Forbidden: may not be set when `type` is 'ExternalName'",
    ],
    [
      { type: "NodePort", clusterIP: "None" },
      `clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`,
    ],
    [{ clusterIP: "here" }, 'clusterIP: Invalid value: "here": must be an IP address, None or empty'],
    [
      { externalTrafficPolicy: "Local" },
      'externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ],
    [{ loadBalancerClass: "a" }, "loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    [
      { sessionAffinityConfig: { clientIP: {} } },
      "sessionAffinityConfig: Forbidden: must not be set when session affinity is None",
    ],
    [
      { selector: { app: "a b" } },
      `selector: Invalid value: "a b": must be empty, or letters, digits, '-', '_' and '.', with a letter or digit at both ends, at most 63 characters`,
    ],
  ];
  test.each(cases)("%j", (spec, error) => {
    expect(errorsOf("", "Service", service(spec))).toEqual([`spec.${error}`]);
  });

  test("what depends on other fields is filled in", () => {
    expect(completed({})).toEqual({
      type: "ClusterIP",
      sessionAffinity: "None",
      internalTrafficPolicy: "Cluster",
      ports: [{ ...port, protocol: "TCP", targetPort: 80 }],
    });
    expect(completed({ ports: [{ ...port, targetPort: "web" }] })).toMatchObject({ ports: [{ targetPort: "web" }] });
    expect(completed({ type: "LoadBalancer" })).toMatchObject({
      allocateLoadBalancerNodePorts: true,
      externalTrafficPolicy: "Cluster",
    });
    expect(completed({ sessionAffinity: "ClientIP" })).toMatchObject({
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
    });
    expect(completed({ type: "ExternalName", externalName: "a.b." })).not.toHaveProperty("internalTrafficPolicy");
    expect(errorsOf("", "Service", { spec: { clusterIP: "None" } })).toEqual([]);
  });

  test("an address stays once it is given", () => {
    const given = { clusterIP: "10.110.0.5", clusterIPs: ["10.110.0.5"] };
    const before = admit("", "Service", service(given)).object;
    expect(errorsOf("", "Service", service(given), before)).toEqual([]);
    expect(errorsOf("", "Service", service({ clusterIP: "10.110.0.6" }), before)).toEqual([
      'spec.clusterIPs[0]: Invalid value: "10.110.0.6": may not change once set',
    ]);
    const outside = service({ type: "ExternalName", externalName: "a.b" });
    expect(errorsOf("", "Service", outside, before)).toEqual([]);
  });
});

describe("ConfigMap and Secret", () => {
  test("keys are names of files, and contents have a size", () => {
    expect(errorsOf("", "ConfigMap", { data: { "a/b": "" } })[0]).toContain('data[a/b]: Invalid value: "a/b"');
    expect(errorsOf("", "ConfigMap", { data: { "..": "" } })).toHaveLength(1);
    expect(errorsOf("", "ConfigMap", { data: { a: "" }, binaryData: { a: "" } })).toEqual([
      'data[a]: Invalid value: "a": must not be in binaryData too',
    ]);
    expect(errorsOf("", "ConfigMap", { binaryData: { constructor: "" } })).toEqual([]);
    expect(errorsOf("", "ConfigMap", { data: { a: "x".repeat(1024 * 1024) } })).toEqual([]);
    expect(errorsOf("", "ConfigMap", { data: { a: "x".repeat(1024 * 1024), b: "y" } })).toHaveLength(1);
    expect(errorsOf("", "Secret", { data: { a: "no base64!" } })).toEqual([
      'data.a: Invalid value: "no base64!": must be base64',
    ]);
  });

  test("a Secret's texts become data, and its type says which keys it has", () => {
    const { object } = admit("", "Secret", { data: { a: "YQ==", b: "Yg==" }, stringData: { b: "two", c: "ü" } });
    expect(object["data"]).toEqual({ a: "YQ==", b: "dHdv", c: "w7w=" });
    expect(object["type"]).toBe("Opaque");
    expect("stringData" in object).toBe(false);
    expect(errorsOf("", "Secret", { type: "kubernetes.io/tls", data: { "tls.crt": "" } })).toEqual([
      "data[tls.key]: Required value",
    ]);
  });

  test("what is immutable stays", () => {
    const before = admit("", "Secret", { immutable: true, data: { a: "YQ==" } }).object;
    expect(errorsOf("", "Secret", { immutable: true, data: { a: "YQ==" } }, before)).toEqual([]);
    expect(errorsOf("", "Secret", { data: {}, type: "x" }, before)).toEqual([
      'type: Invalid value: "x": field is immutable',
      "immutable: Forbidden: field is immutable when `immutable` is set",
      "data: Forbidden: field is immutable when `immutable` is set",
    ]);
  });
});

const slice = (more: object): object => ({ addressType: "IPv4", endpoints: [], ...more });
const at = (address: string): object => ({ endpoints: [{ addresses: [address] }] });

describe("EndpointSlice", () => {
  const cases: readonly Case[] = [
    [{ addressType: "IP" }, 'addressType: Unsupported value: "IP": supported values: "IPv4", "IPv6", "FQDN"'],
    [{ endpoints: [{ addresses: [] }] }, "endpoints[0].addresses: Required value: must contain at least 1 address"],
    [at("2001:db8::1"), 'endpoints[0].addresses[0]: Invalid value: "2001:db8::1": must be an IPv4 address'],
    [
      at("127.0.0.1"),
      'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": must not be an unspecified, loopback, link-local or local multicast address',
    ],
    [{ ports: [{ port: 80 }, { port: 81 }] }, 'ports[1].name: Duplicate value: ""'],
  ];
  test.each(cases)("%j", (body, error) => {
    expect(errorsOf("discovery.k8s.io", "EndpointSlice", slice(body))).toEqual([error]);
  });

  test("what its addresses are stays", () => {
    const before = admit("discovery.k8s.io", "EndpointSlice", slice({})).object;
    expect(errorsOf("discovery.k8s.io", "EndpointSlice", slice({ addressType: "IPv6" }), before)).toEqual([
      'addressType: Invalid value: "IPv6": field is immutable',
    ]);
  });
});

test("a namespace has its name as a label", () => {
  const { object } = admit("", "Namespace", { metadata: { name: "shop", labels: { team: "a" } } });
  expect(object.metadata.labels).toEqual({ team: "a", "kubernetes.io/metadata.name": "shop" });
});

test("an event stands in the namespace of its object", () => {
  expect(errorsOf("", "Event", { involvedObject: { kind: "Pod", namespace: "shop", name: "a" } })).toEqual([]);
  expect(errorsOf("", "Event", { involvedObject: { kind: "Pod", namespace: "other", name: "a" } })).toEqual([
    'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
  ]);
});
