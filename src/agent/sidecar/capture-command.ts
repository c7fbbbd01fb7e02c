import { networkInterfaces } from "node:os";
import { once } from "node:events";
import { createServer } from "node:net";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { type CaptureOptions, captureRules } from "#runtime/capture.ts";
import { captureIPv6 } from "#runtime/capture6.ts";
import { command } from "#runtime/command.ts";
import { connectHere } from "#runtime/own-socket.ts";
import { captureOptions } from "../capture-annotations.ts";
import { dnsPort } from "../dns/service.ts";

/** Flags of Istio's `istio-iptables`, as far as they are carried out. */
export interface CaptureFlags {
  /** Ports that the proxy takes outbound and inbound connections at. */
  readonly envoyPort: string;
  readonly inboundCapturePort: string;
  readonly proxyUid: string;
  readonly inboundInterceptionMode: string;
  readonly outboundIpRanges: string;
  readonly outboundIpRangesExclude: string;
  readonly inboundPorts: string;
  readonly inboundPortsExclude: string;
  readonly outboundPorts: string;
  readonly outboundPortsExclude: string;
  readonly excludeInterfaces: string;
  /** Only look whether traffic is captured. */
  readonly runValidation?: boolean;
  readonly skipRuleApply?: boolean;
}

/** Where names are looked up, where that is captured. */
export interface CaptureNames {
  readonly capture: boolean;
  readonly servers: readonly string[];
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port <= 65_535) return port;
  throw new WeftError("InvalidArgument", `"${text}" is no port`);
}

/**
 * What is to be captured, by the flags; undefined for nothing.
 * @throws WeftError `InvalidArgument` for flags that are wrong, `Unsupported` for a mode that there is not.
 */
export function captureOf(flags: CaptureFlags, names: CaptureNames): CaptureOptions | undefined {
  if (flags.inboundInterceptionMode === "NONE") return undefined;
  if (flags.inboundInterceptionMode !== "REDIRECT")
    throw new WeftError(
      "Unsupported",
      `traffic cannot be captured by ${flags.inboundInterceptionMode}: only by REDIRECT`,
    );
  const told = {
    includeOutboundIPRanges: flags.outboundIpRanges,
    excludeOutboundIPRanges: flags.outboundIpRangesExclude,
    includeInboundPorts: flags.inboundPorts,
    excludeInboundPorts: flags.inboundPortsExclude,
    includeOutboundPorts: flags.outboundPorts,
    excludeOutboundPorts: flags.outboundPortsExclude,
    excludeInterfaces: flags.excludeInterfaces,
  };
  const annotations = Object.fromEntries(
    Object.entries(told).map(([name, value]) => [`traffic.sidecar.istio.io/${name}`, value]),
  );
  const dns = names.capture && names.servers.length > 0 ? { dns: { servers: names.servers, port: dnsPort } } : {};
  const options = captureOptions(
    { metadata: { annotations } },
    {
      proxyId: Number(flags.proxyUid),
      ...dns,
    },
  );
  return {
    ...options,
    excludeInboundPorts: [...new Set(options.excludeInboundPorts)],
    outboundPort: portOf(flags.envoyPort),
    inboundPort: portOf(flags.inboundCapturePort),
  };
}

/** A port at which nothing of the Pod listens. */
const nobodysPort = 15_002;
/** Milliseconds in which a connection that is captured arrives. */
const arriveMs = 5000;

/**
 * Looks whether the Pod's traffic is captured: a connection of the proxy's user to the Pod's own address comes to the proxy's port.
 * @throws WeftError `FailedPrecondition` when it is not.
 */
async function validate({ inboundPort }: CaptureOptions, clock: Clock): Promise<void> {
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const address = own.find(({ internal, family }) => !internal && family === "IPv4")?.address;
  if (address === undefined) throw new WeftError("FailedPrecondition", "the Pod has no address");
  const server = createServer((socket) => socket.destroy());
  const elapsed = new AbortController();
  using _timer = clock.after(arriveMs, () => elapsed.abort());
  const arrived = once(server, "connection", { signal: elapsed.signal });
  arrived.catch(() => undefined);
  try {
    server.listen(inboundPort, "0.0.0.0");
    await once(server, "listening");
    const socket = await connectHere({ host: address, port: nobodysPort });
    socket.on("error", () => undefined);
    await arrived;
    socket.destroy();
  } catch (error) {
    throw new WeftError(
      "FailedPrecondition",
      "the Pod's traffic is not captured: is the CNI plugin installed on its node?",
      error,
    );
  } finally {
    server.close();
  }
}

/**
 * Has the Pod's traffic captured from inside of the Pod, or looks whether it is: Istio's `istio-iptables`.
 * @throws WeftError when it cannot be done, or is not.
 */
export async function runCapture(flags: CaptureFlags, names: CaptureNames, clock: Clock): Promise<void> {
  const capture = captureOf(flags, names);
  if (!capture) return;
  if (flags.skipRuleApply !== true) {
    await captureIPv6((argv) => argv, capture);
    await command(["iptables-restore"], { input: captureRules(capture) });
  }
  if (flags.runValidation === true) await validate(capture, clock);
}
