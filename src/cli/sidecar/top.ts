import type { WriteStream } from "node:tty";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import { proxyName } from "../proxy/proxies.ts";
import { table } from "../table.ts";
import { bytesText, cpuText, rateText } from "./words.ts";

/** What proxies are sorted by. */
export const topOrders = ["cpu", "memory", "connections", "requests", "errors", "name"] as const;
/** One of them. */
export type TopOrder = (typeof topOrders)[number];

const header = ["PROXY", "CLUSTER", "PHASE", "CPU", "MEMORY", "CONNECTIONS", "IN/S", "OUT/S", "ERRORS/S"];

function amount({ status: { usage, traffic } }: ProxyObject, order: Exclude<TopOrder, "name">): number {
  const { inbound, outbound, connections = -1 } = traffic ?? {};
  switch (order) {
    case "cpu":
      return usage?.cpuMillis ?? -1;
    case "memory":
      return usage?.memoryBytes ?? -1;
    case "connections":
      return connections;
    case "requests":
      return inbound && outbound ? inbound.requestsPerSecond + outbound.requestsPerSecond : -1;
    case "errors":
      return inbound && outbound ? inbound.errorsPerSecond + outbound.errorsPerSecond : -1;
  }
}

function sorted(proxies: readonly ProxyObject[], order: TopOrder): readonly ProxyObject[] {
  if (order === "name") return proxies;
  return proxies.toSorted((one, other) => amount(other, order) - amount(one, order));
}

function row({ status, ...proxy }: ProxyObject): readonly string[] {
  const { usage, traffic, phase } = status;
  const { inbound, outbound, connections } = traffic ?? {};
  const errors = inbound && outbound && inbound.errorsPerSecond + outbound.errorsPerSecond;
  return [
    proxyName(proxy),
    proxy.spec.cluster,
    phase,
    usage ? cpuText(usage.cpuMillis) : "-",
    usage ? bytesText(usage.memoryBytes) : "-",
    connections === undefined ? "-" : String(connections),
    inbound ? rateText(inbound.requestsPerSecond) : "-",
    outbound ? rateText(outbound.requestsPerSecond) : "-",
    errors === undefined ? "-" : rateText(errors),
  ];
}

/** What proxies use and do, the most first. */
export function topText(proxies: readonly ProxyObject[], order: TopOrder): string {
  return table(header, sorted(proxies, order).map(row));
}

const home = "\u001B[H";
const clearLine = "\u001B[K";
const clearBelow = "\u001B[J";
const otherScreen = "\u001B[?1049h\u001B[?25l";
const firstScreen = "\u001B[?25h\u001B[?1049l";

/** A text that is drawn in place, as much of it as there is room for, until it is disposed. */
export class TopScreen implements Disposable {
  readonly #out: WriteStream;

  constructor(out: WriteStream) {
    this.#out = out;
    out.write(otherScreen);
  }

  draw(text: string): void {
    const { rows, columns } = this.#out;
    const lines = text.trimEnd().split("\n").slice(0, rows);
    this.#out.write(home + lines.map((line) => `${line.slice(0, columns)}${clearLine}`).join("\r\n") + clearBelow);
  }

  [Symbol.dispose](): void {
    this.#out.write(firstScreen);
  }
}
