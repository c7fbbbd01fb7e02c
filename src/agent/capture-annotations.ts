import { isIPv4 } from "node:net";
import type { Pod } from "#api/kubernetes/pod.ts";
import { WeftError } from "#base/errors.ts";
import { defaultCapture } from "#runtime/capture.ts";
import type { CaptureOptions, Ports } from "#runtime/capture.ts";

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

function ranges(name: string, text: string): readonly string[] {
  return words(text).map((word) => {
    const [address = "", length, ...rest] = word.split("/");
    if (
      !isIPv4(address) ||
      rest.length > 0 ||
      (length !== undefined && !(/^\d{1,2}$/.test(length) && Number(length) <= 32))
    )
      throw mistake(name, word, "an IPv4 range");
    return word;
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

/** `*` alone stands for all, as in Istio. */
function orAll<T>(text: string, read: (text: string) => T): "*" | T {
  return text.trim() === "*" ? "*" : read(text);
}

/**
 * Which of a Pod's traffic is captured, by Istio's annotations `traffic.sidecar.istio.io/...`.
 * @throws WeftError `InvalidArgument` for a value that is not what its annotation holds.
 */
export function captureOptions(
  pod: Pod,
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
