import { type Case, all, annotated, networking } from "./written.ts";

/** A Namespace with labels and annotations. */
const namespaced = (labels: string, annotations = ""): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata: { name: x, labels: { team: a, ${labels} }, annotations: { ${annotations} } }\n`;

/** A Deployment with annotations, and with labels and annotations of its Pods. */
const deployed = (annotations: string, podLabels: string, podAnnotations: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: { name: x, namespace: shop, annotations: { ${annotations} } }
spec:
  selector: { matchLabels: { app: x } }
  template:
    metadata: { labels: { app: x, ${podLabels} }, annotations: { ${podAnnotations} } }
    spec: { containers: [{ name: main, image: i }] }
`;

const onDemand = "mesh.weft.dev/discovery: OnDemand";

const everything = networking("Sidecar", "x", '{ egress: [{ hosts: ["*/*"] }] }').replace("shop", "x");

const code = "InvalidDiscovery";

/** Mistakes in what says how much of the mesh proxies hold, and how connections are led to them. */
export const discoveryCases: readonly Case[] = [
  {
    code: "DeclaresEverything",
    bad: all(namespaced(onDemand), everything),
    at: "Sidecar x: spec.egress[0].hosts[0]",
    good: all(namespaced(""), everything),
  },
  {
    code,
    title: "of a Namespace",
    bad: namespaced("mesh.weft.dev/discovery: on-demand"),
    at: "Namespace x: metadata.labels[mesh.weft.dev/discovery]",
    good: namespaced(onDemand),
    fix: true,
  },
  {
    code,
    title: "that is no mode's name nearly",
    bad: deployed("", "", "mesh.weft.dev/discovery: yes-please"),
    at: "Deployment x: spec.template.metadata.annotations[mesh.weft.dev/discovery]",
    good: deployed("", "", onDemand),
  },
  {
    code,
    title: "an annotation of a Namespace",
    bad: namespaced("", onDemand),
    at: "Namespace x: metadata.annotations[mesh.weft.dev/discovery]",
    good: namespaced(onDemand),
    fix: true,
  },
  {
    code,
    title: "a label of Pods",
    bad: deployed("", onDemand, ""),
    at: "Deployment x: spec.template.metadata.labels[mesh.weft.dev/discovery]",
    good: deployed("", "", onDemand),
    fix: true,
  },
  {
    code,
    title: "an annotation of a Deployment",
    bad: deployed(onDemand, "", "example.com/a: b"),
    at: "Deployment x: metadata.annotations[mesh.weft.dev/discovery]",
    good: deployed("", "", onDemand),
    fix: true,
  },
  {
    code,
    title: "of a Deployment and of its Pods",
    bad: deployed(onDemand, "", onDemand),
    at: "Deployment x: metadata.annotations[mesh.weft.dev/discovery]",
    good: deployed("", "", onDemand),
    fix: true,
  },
  {
    code,
    title: "of a Service",
    bad: annotated(onDemand),
    at: "Service x: metadata.annotations[mesh.weft.dev/discovery]",
    good: annotated("example.com/discovery: OnDemand"),
    fix: true,
  },
  {
    code: "InvalidHijack",
    bad: namespaced("mesh.weft.dev/hijack: epbf"),
    at: "Namespace x: metadata.labels[mesh.weft.dev/hijack]",
    good: namespaced("mesh.weft.dev/hijack: ebpf"),
    fix: true,
  },
  {
    code: "InvalidHijack",
    title: "a label of Pods",
    bad: deployed("", "mesh.weft.dev/hijack: ebpf", ""),
    at: "Deployment x: spec.template.metadata.labels[mesh.weft.dev/hijack]",
    good: deployed("", "", "mesh.weft.dev/hijack: ebpf"),
    fix: true,
  },
];
