import { failsOpen } from "#api/weft/webhooks.ts";
import { ignoredNamespaces, injectLabel } from "./decision.ts";
import { controlPlaneService } from "./template/context.ts";

/** Which webhooks of a cluster lead to which control plane. */
export interface WebhookOptions {
  /** The revision of the control plane, `default` for the one without a name. */
  readonly revision: string;
  /** A revision tag: what namespaces and Pods name in the revision's place. */
  readonly tag?: string;
  /** The namespace of the control plane's Service. */
  readonly namespace: string;
  /** The port of that Service; 443 unless told. */
  readonly port?: number;
  /** The control plane's address where it has no Service in the cluster: `https://istiod.example:15017`. */
  readonly url?: string;
  /** The cluster and the network as the control plane knows them; told in the webhook's path. */
  readonly cluster?: string;
  readonly network?: string;
  /** Whether Pods get a proxy whose namespace says nothing. */
  readonly everywhere?: boolean;
}

/** What a label must be. */
interface Requirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "DoesNotExist";
  readonly values?: readonly string[];
}

const rev = "istio.io/rev";
const injection = "istio-injection";

function oneOf(key: string, ...values: readonly string[]): Requirement {
  return { key, operator: "In", values };
}

function absent(key: string): Requirement {
  return { key, operator: "DoesNotExist" };
}

const notRefused: Requirement = { key: injectLabel, operator: "NotIn", values: ["false"] };

/** Namespaces and Pods that a webhook is for. */
interface Selection {
  readonly prefix: string;
  readonly namespaces: readonly Requirement[];
  readonly pods: readonly Requirement[];
}

/** Istio's selections: a namespace's word goes before its Pods', and `istio-injection` before a revision. */
function selections({ revision, tag, everywhere = false }: WebhookOptions): readonly Selection[] {
  const wanted = tag ?? revision;
  const named: readonly Selection[] = [
    { prefix: "rev.namespace.", namespaces: [oneOf(rev, wanted), absent(injection)], pods: [notRefused] },
    { prefix: "rev.object.", namespaces: [absent(rev), absent(injection)], pods: [notRefused, oneOf(rev, wanted)] },
  ];
  if (wanted !== "default") return named;
  const silent = [absent(injection), absent(rev)];
  const elsewhere: Requirement = { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ignoredNamespaces };
  return [
    ...named,
    { prefix: "namespace.", namespaces: [oneOf(injection, "enabled")], pods: [notRefused] },
    { prefix: "object.", namespaces: silent, pods: [oneOf(injectLabel, "true"), absent(rev)] },
    ...(everywhere
      ? [{ prefix: "auto.", namespaces: [...silent, elsewhere], pods: [absent(injectLabel), absent(rev)] }]
      : []),
  ];
}

function pathPart(name: string, value = ""): string {
  return value === "" ? "" : `/${name}/${encodeURIComponent(value)}`;
}

function injectPath({ cluster, network }: WebhookOptions): string {
  return `/inject${pathPart("cluster", cluster)}${pathPart("net", network)}`;
}

function clientConfig({ revision, namespace, port = 443, url }: WebhookOptions, path: string): object {
  if (url !== undefined) return { url: `${url}${path}` };
  const [name] = controlPlaneService(revision, namespace).split(".");
  return { service: { name, namespace, path, port } };
}

/** Labels by which the control plane of a revision finds its webhooks, to give them its authority. */
function labelsOf(app: string, { revision, tag }: WebhookOptions): Readonly<Record<string, string>> {
  return {
    app,
    "app.kubernetes.io/managed-by": "weft",
    "istio.io/rev": revision,
    ...(tag !== undefined && { "istio.io/tag": tag }),
  };
}

/**
 * Kubernetes' `admissionregistration.k8s.io/v1.MutatingWebhookConfiguration` that has Pods injected, as Istio's charts make it. No Pod
 * that is to have a proxy is made without one: while the control plane is away, none is made.
 */
export function mutatingWebhooks(options: WebhookOptions): object {
  const { revision, tag } = options;
  const suffix = revision === "default" ? "" : `-${revision}`;
  const path = injectPath(options);
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: {
      name: tag === undefined ? `istio-sidecar-injector${suffix}` : `istio-revision-tag-${tag}`,
      labels: labelsOf("sidecar-injector", options),
    },
    webhooks: selections(options).map(({ prefix, namespaces, pods }) => ({
      name: `${prefix}sidecar-injector.istio.io`,
      clientConfig: clientConfig(options, path),
      sideEffects: "None",
      rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
      failurePolicy: "Fail",
      reinvocationPolicy: "Never",
      admissionReviewVersions: ["v1"],
      namespaceSelector: { matchExpressions: namespaces },
      objectSelector: { matchExpressions: pods },
    })),
  };
}

/** Groups whose objects are checked. */
const checkedGroups = ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"];

/**
 * Kubernetes' `ValidatingWebhookConfiguration` that has Istio's objects checked where they are custom resources of the cluster. Nothing
 * is refused for want of an answer until the control plane has been seen to answer, as with Istio; never where it is `open`.
 */
export function validatingWebhooks(options: WebhookOptions & { readonly open?: boolean }): object {
  const { revision, namespace, open = false } = options;
  const suffix = revision === "default" ? "" : `-${revision}`;
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: {
      name: `istio-validator${suffix}-${namespace}`,
      labels: labelsOf("istiod", options),
      ...(open && { annotations: { [failsOpen.annotation]: failsOpen.value } }),
    },
    webhooks: [
      {
        name: "rev.validation.istio.io",
        clientConfig: clientConfig(options, "/validate"),
        rules: [{ operations: ["CREATE", "UPDATE"], apiGroups: checkedGroups, apiVersions: ["*"], resources: ["*"] }],
        failurePolicy: "Ignore",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        // While nobody answers, who writes is not kept waiting for long.
        ...(open && { timeoutSeconds: 3 }),
        // The default revision checks all objects; another only those that are its own.
        ...(revision !== "default" && { objectSelector: { matchExpressions: [oneOf(rev, revision)] } }),
      },
    ],
  };
}
