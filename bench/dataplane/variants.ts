import type { MeshInput } from "#model/mesh.ts";
import { features, type Measure, measures } from "./measures.ts";

/** What is measured: which Envoys a client and a server have, and how connections come to them. */
export interface Variant {
  readonly name: string;
  /** Absent where there is no mesh. */
  readonly hijack?: "iptables" | "ebpf";
  /** Whether the Envoys speak past TCP. */
  readonly sockmap?: boolean;
  /** The mesh whose control plane configures the Envoys; they have the baseline's configuration unless told. */
  readonly mesh?: { readonly settings: MeshInput; readonly objects: string };
  /** What is changed in the baseline's configuration. */
  readonly measure?: Measure;
  /** Worker threads of each Envoy; the baseline's number unless told. */
  readonly workers?: number;
}

/** Istio's default configuration, led by iptables: what all others are compared with. */
export const baselineVariant: Variant = { name: "baseline", hijack: "iptables" };

/**
 * Istio traces by default, to nowhere: it asks each proxy to decide which requests are traced. In Weft nobody is asked without a
 * provider, so that it is asked for here, to have both alike.
 */
const sameTracing = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: tracing, namespace: istio-system}
spec:
  configPatches:
    - applyTo: NETWORK_FILTER
      match: {listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
      patch:
        operation: MERGE
        value:
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
            tracing: {client_sampling: {value: 100}, random_sampling: {value: 1}, overall_sampling: {value: 100}}
`;

const mesh = { settings: {}, objects: sameTracing };

const weft: Variant = { name: "lean", hijack: "iptables", mesh };
const ebpf: Variant = { name: "ebpf + lean", hijack: "ebpf", mesh };
const sockmap: Variant = { name: "ebpf + lean + sockmap", hijack: "ebpf", sockmap: true, mesh };

const performance = { ...mesh, settings: { profile: "performance" } } as const;

function alone([name, measure]: readonly [string, Measure]): Variant {
  return { ...baselineVariant, name, measure };
}

/** Variants that take turns, and what is sent through them. */
export interface Group {
  /** What the group shows. */
  readonly title: string;
  /** Those beside the baseline. */
  readonly variants: readonly Variant[];
  /** Bytes of a request's body, and of its answer's. */
  readonly body: number;
  readonly answer: number;
}

const small = { body: 1024, answer: 1024 } as const;
const large = [ebpf, sockmap] as const;

/** All groups, by the names under which they are asked for. */
export const groups: Readonly<Record<string, Group>> = {
  headline: {
    title: "requests and answers of 1 KiB",
    variants: [
      weft,
      { name: "ebpf", hijack: "ebpf" },
      ebpf,
      { name: "ebpf + sockmap", hijack: "ebpf", sockmap: true },
      sockmap,
      { name: "no mesh" },
    ],
    ...small,
  },
  performance: {
    title: "the profile performance beside the usual one",
    variants: [
      weft,
      { ...weft, name: "performance", mesh: performance },
      ebpf,
      { ...ebpf, name: "ebpf + performance", mesh: performance },
      { ...sockmap, name: "ebpf + performance + sockmap", mesh: performance },
    ],
    ...small,
  },
  features: {
    title: "what is switched on or off",
    variants: [
      ...Object.entries(features).map(alone),
      { ...ebpf, name: "ebpf + lean, tracing off", mesh: { ...mesh, objects: "" } },
      {
        ...ebpf,
        name: "ebpf + lean, access log on",
        mesh: { ...mesh, settings: { accessLogFile: "/dev/stdout" } },
      },
    ],
    ...small,
  },
  measures: {
    title: "each measure alone, upon the baseline",
    variants: [...Object.entries(measures).map(alone), { ...baselineVariant, name: "one worker", workers: 1 }],
    ...small,
  },
  "16k": { title: "answers of 16 KiB", variants: large, body: 0, answer: 16_384 },
  "256k": { title: "answers of 256 KiB", variants: large, body: 0, answer: 262_144 },
};
