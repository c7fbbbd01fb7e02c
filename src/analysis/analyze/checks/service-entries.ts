import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import { listed } from "#model/findings/finding.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

type Entry = Subject<ServiceEntrySpec>;

function isAllocated({ object }: Entry): boolean {
  const status = object["status"] as { readonly addresses?: readonly unknown[] } | undefined;
  return (status?.addresses ?? []).length > 0;
}

function* addressless(entry: Entry): Generator<Problem> {
  const { addresses = [], ports = [] } = entry.spec;
  if (addresses.length > 0 || isAllocated(entry)) return;
  for (const [index, { protocol = "", number }] of ports.entries()) {
    if (protocol !== "" && protocol.toUpperCase() !== "TCP") continue;
    const field = `spec.ports[${index}]`;
    const message = `Without addresses, connections to TCP port ${number} cannot be told from those to other hosts. Set addresses, or a protocol that names the host: HTTP, TLS.`;
    yield problemOf(entry.ref, { code: "ServiceEntryAddressesRequired", field, message });
  }
}

/** ServiceEntries whose TCP ports take everything. */
export const protocolAddressesAnalyzer: Analyzer = {
  name: "serviceentry.Analyzer",
  description: "Checks that ServiceEntries with TCP ports have addresses",
  *problems({ all }) {
    for (const entry of all<ServiceEntrySpec>("ServiceEntry")) yield* addressless(entry);
  },
};

/** Namespaces that see an entry; `*` for all. */
function scopes({ namespace, spec: { exportTo = [] } }: Entry): readonly string[] {
  if (exportTo.length === 0 || exportTo.includes("*")) return ["*"];
  return exportTo.map((each) => (each === "." ? namespace : each));
}

function meet(a: readonly string[], b: readonly string[]): boolean {
  return a.includes("*") || b.includes("*") || a.some((each) => b.includes(each));
}

interface EntryPort {
  readonly entry: Entry;
  readonly index: number;
  readonly protocol: string;
  readonly scopes: readonly string[];
}

/** Every port of every host, by host and number. */
function portsByHost(entries: readonly Entry[]): ReadonlyMap<string, readonly EntryPort[]> {
  const all = entries.flatMap((entry) =>
    entry.spec.hosts.flatMap((host) =>
      (entry.spec.ports ?? []).map(({ number, protocol = "" }, index) => {
        const key = `${host}:${number}`;
        return { key, port: { entry, index, protocol: protocol.toUpperCase(), scopes: scopes(entry) } };
      }),
    ),
  );
  return new Map(
    [...Map.groupBy(all, ({ key }) => key)].map(([key, found]) => [key, found.map(({ port }) => port)] as const),
  );
}

function* protocolConflicts(entries: readonly Entry[]): Generator<Problem> {
  for (const [hostPort, ports] of portsByHost(entries)) {
    for (const { entry, index, protocol, scopes: own } of ports) {
      const others = ports.filter((each) => each.protocol !== protocol && meet(own, each.scopes));
      if (others.length === 0) continue;
      const names = others.map((each) => `${each.entry.namespace}/${each.entry.name} (${each.protocol || "none"})`);
      const message = `${hostPort} has protocol ${protocol || "none"} here and another in ${listed(names)}; the oldest decides. Agree on one.`;
      yield problemOf(entry.ref, { code: "ConflictingServiceEntryProtocol", field: `spec.ports[${index}]`, message });
    }
  }
}

/** ServiceEntries that disagree. */
export const entryProtocolAnalyzer: Analyzer = {
  name: "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
  description: "Checks that ServiceEntries give a port of a host one protocol",
  problems: ({ all }) => protocolConflicts(all<ServiceEntrySpec>("ServiceEntry")),
};
