import { isIP } from "node:net";
import type { Pod } from "#api/kubernetes/pod.ts";
import { WeftError } from "#base/errors.ts";
import { defaultCapture } from "#runtime/capture.ts";
import type { CaptureOptions, Ports } from "#runtime/capture.ts";
import { probeAddress } from "#runtime/fabric.ts";
import { proxyUid } from "./layout.ts";

const prefix = "traffic.sidecar.istio.io/";

function words(text: string): readonly string[] {
  return text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function ports(name: string, text: string): readonly number[] {
  return words(text).map((word) => {
    const port = Number(word);
    if (!/^\d{1,5}$/.test(word) || port > 65_535) throw mistake(name, word, "a port");
    return port;
  });
}

/** Address ranges; those of IPv6 are known and passed over, since Pods have no such addresses. */
function ranges(name: string, text: string): readonly string[] {
  return words(text).filter((word) => {
    const [address = "", length, ...rest] = word.split("/");
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    if (
      family === 0 ||
      rest.length > 0 ||
      (length !== undefined && !(/^\d{1,3}$/.test(length) && Number(length) <= bits))
    )
      throw mistake(name, word, "an address range");
    return family === 4;
  });
}

function interfaces(name: string, text: string): readonly string[] {
  return words(text).map((word) => {
    if (!/^[A-Za-z0-9_.-]{1,15}$/.test(word)) throw mistake(name, word, "an interface");
    return word;
  });
}

function mistake(name: string, word: string, what: string): WeftError {
  return new WeftError("InvalidArgument", `annotation ${prefix}${name}: "${word}" is not ${what}`);
}

/** Istio's annotation that says how a Pod's proxy gets the traffic. */
export const modeAnnotation = "sidecar.istio.io/interceptionMode";

/**
 * How the proxy gets a Pod's traffic, by Istio's annotation.
 * @throws WeftError `InvalidArgument` for a mode that there is not, and for one that this node does not have.
 */
export function interceptionMode(pod: Pod): "REDIRECT" | "NONE" {
  const mode = pod.metadata.annotations?.[modeAnnotation] ?? "REDIRECT";
  if (mode === "REDIRECT" || mode === "NONE") return mode;
  const problem = mode === "TPROXY" ? "this node has no TPROXY" : `"${mode}" is no mode`;
  throw new WeftError("InvalidArgument", `annotation ${modeAnnotation}: ${problem}: write REDIRECT or NONE`);
}

/** `*` alone stands for all, as in Istio. */
function orAll<T>(text: string, read: (text: string) => T): "*" | T {
  return text.trim() === "*" ? "*" : read(text);
}

/**
 * Which of a Pod's traffic is captured, by Istio's annotations `traffic.sidecar.istio.io/...`.
 * @throws WeftError `InvalidArgument` for a value that is not what its annotation holds.
 */
export function captureOptions(
  pod: { readonly metadata: Pick<Pod["metadata"], "annotations"> },
  more: Pick<CaptureOptions, "proxyId" | "dns" | "probeSource">,
): CaptureOptions {
  const annotations = pod.metadata.annotations ?? {};
  const read = <T>(name: string, fallback: T, parse: (name: string, text: string) => T): T => {
    const text = annotations[`${prefix}${name}`];
    return text === undefined ? fallback : parse(name, text);
  };
  const list = (name: string): readonly number[] => read(name, [], ports);
  return {
    ...defaultCapture,
    ...more,
    includeInboundPorts: read<Ports>("includeInboundPorts", "*", (name, text) =>
      orAll(text, (one) => ports(name, one)),
    ),
    excludeInboundPorts: [...defaultCapture.excludeInboundPorts, ...list("excludeInboundPorts")],
    includeOutboundPorts: list("includeOutboundPorts"),
    excludeOutboundPorts: list("excludeOutboundPorts"),
    includeOutboundRanges: read<"*" | readonly string[]>("includeOutboundIPRanges", "*", (name, text) =>
      orAll(text, (one) => ranges(name, one)),
    ),
    excludeOutboundRanges: read("excludeOutboundIPRanges", [], ranges),
    excludeInterfaces: read("excludeInterfaces", [], interfaces),
  };
}

/**
 * What of a Pod's traffic its sidecar gets, by its annotations; undefined for one that asks to be left alone. What the node's own probes
 * come from passes by the proxy.
 * @throws WeftError `InvalidArgument` for annotations that are wrong.
 */
export function podCapture(pod: Pod, dns?: CaptureOptions["dns"]): CaptureOptions | undefined {
  if (interceptionMode(pod) === "NONE") return undefined;
  return captureOptions(pod, { proxyId: proxyUid, probeSource: probeAddress, ...(dns && { dns }) });
}
