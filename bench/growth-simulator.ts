/** Some of many proxies that connect and stay, in a process that the benchmark forks. */
import { SimulatedProxy, simulatedNode } from "./xds-client.ts";
import { Scanner } from "./xds-wire.ts";

/** What the benchmark asks for. */
export type GrowthRequest =
  | {
      readonly kind: "connect";
      readonly address: string;
      /** Numbers of the workloads, from the first up to before the last. */
      readonly first: number;
      readonly end: number;
      readonly namespaces: number;
      /** So many get their first configuration at a time. */
      readonly atOnce: number;
    }
  | { readonly kind: "mark" }
  | { readonly kind: "report" };

/** What it answers. */
export type GrowthAnswer =
  | { readonly kind: "synced" | "marked" }
  | { readonly kind: "ended"; readonly reason: string }
  | {
      readonly kind: "report";
      readonly responses: number;
      /** For each proxy that got something since the mark: when the last of it came, in nanoseconds of the monotonic clock. */
      readonly times: readonly string[];
    };

const scanner = new Scanner("delta");
const counts = { bytes: 0, responses: 0, acks: 0 };
const proxies: SimulatedProxy[] = [];
const answer = (message: GrowthAnswer): void => void process.send?.(message);

function connect({ address, first, end, namespaces, atOnce }: Extract<GrowthRequest, { kind: "connect" }>): void {
  let [next, synced] = [first, 0];
  const one = (): void => {
    if (next === end) return;
    const node = simulatedNode(next, namespaces);
    next += 1;
    const onSynced = (): void => {
      synced += 1;
      if (synced === end - first) answer({ kind: "synced" });
      else one();
    };
    const onEnd = (reason: string): void => answer({ kind: "ended", reason });
    const manner = { variant: "delta", remember: false, record: false } as const;
    proxies.push(new SimulatedProxy({ address, node, scanner, counts, onSynced, onEnd, ...manner }));
  };
  for (let at = 0; at < atOnce; at += 1) one();
}

process.on("message", (request: GrowthRequest) => {
  switch (request.kind) {
    case "connect":
      return connect(request);
    case "mark":
      counts.responses = 0;
      for (const proxy of proxies) proxy.responses = 0;
      return answer({ kind: "marked" });
    case "report": {
      const times = proxies.filter(({ responses }) => responses > 0).map(({ lastAt }) => String(lastAt));
      return answer({ kind: "report", responses: counts.responses, times });
    }
  }
});
process.on("disconnect", () => process.exit());
