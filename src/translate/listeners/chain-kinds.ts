import type { MeshSettings } from "#model/mesh.ts";
import type { MutualTlsMode, PortPolicy } from "#model/peer-authentications.ts";
import { ownValue } from "#api/record.ts";
import { byteCallers, httpCallers, meshCallers } from "../mesh-tls.ts";
import { plainHttp } from "./network.ts";

/** A kind of connections to a port of a workload, of those that are told apart. */
export interface ChainKind {
  readonly speaks: "http" | "tcp";
  readonly transport: "raw_buffer" | "tls";
  /** What listener filters find out; empty for all else. */
  readonly applicationProtocols: readonly string[];
  /** Whether TLS ends here, rather than being passed on. */
  readonly ends: boolean;
}

/** What of a port decides about kinds: whether it speaks HTTP, something else, or is to be sniffed. */
type Sniffed = "http" | "auto" | "tcp" | "none";

function plain(speaks: ChainKind["speaks"], applicationProtocols: readonly string[] = []): ChainKind {
  return { speaks, transport: "raw_buffer", applicationProtocols, ends: false };
}

function ending(speaks: ChainKind["speaks"], applicationProtocols: readonly string[] = []): ChainKind {
  return { speaks, transport: "tls", applicationProtocols, ends: true };
}

/** TLS that is the application's own affair. */
const passed: ChainKind = { speaks: "tcp", transport: "tls", applicationProtocols: [], ends: false };

const strict = {
  http: [ending("http")],
  auto: [ending("http", httpCallers), ending("tcp")],
  tcp: [ending("tcp")],
  none: [],
} as const;

/**
 * The kinds of connections that a port takes, in Istio's order: in plain text, by mutual TLS of the mesh, or both on one
 * port. Callers of the mesh are known by the protocols that they offer.
 */
export function chainKinds(protocol: Sniffed, mode: TakenMode, mesh: MeshSettings): readonly ChainKind[] {
  if (protocol === "none" || mode === "CLOSED") return [];
  if (mode === "STRICT") return strict[protocol];
  const permissive = mode === "PERMISSIVE";
  switch (protocol) {
    case "http":
      return [...(permissive ? [ending("http", meshCallers)] : []), plain("http")];
    case "auto": {
      const http = plain("http", plainHttp(mesh));
      return permissive
        ? [ending("http", httpCallers), http, ending("tcp", byteCallers), plain("tcp"), passed]
        : [http, plain("tcp")];
    }
    case "tcp":
      return permissive ? [ending("tcp", meshCallers), passed, plain("tcp")] : [plain("tcp")];
  }
}

/** The kinds for TLS of a Sidecar's port, which ends here whoever calls. */
export function ownTlsKinds(protocol: Sniffed, mesh: MeshSettings): readonly ChainKind[] {
  switch (protocol) {
    case "http":
      return [ending("http")];
    case "auto":
      return [ending("http", plainHttp(mesh)), ending("tcp")];
    case "tcp":
      return [ending("tcp")];
    case "none":
      return [];
  }
}

/** What has to be looked for in a connection's first bytes, so that kinds can be told apart. */
export interface Looks {
  readonly tls: boolean;
  readonly http: boolean;
}

/** What has to be looked for where these kinds of connections come. */
export function looksFor(kinds: readonly ChainKind[]): Looks {
  return {
    tls: kinds.some(({ transport }) => transport === "tls"),
    http: kinds.some(({ transport, applicationProtocols: { length } }) => transport === "raw_buffer" && length > 0),
  };
}

/** What a workload's PeerAuthentications say, and whether its proxies can carry it out. */
export interface PeerSettings {
  readonly policy: PortPolicy;
  /** Whether they have certificates of the mesh. */
  readonly identified: boolean;
}

/** What a port takes: as its workload's PeerAuthentications say, or nothing. */
export type TakenMode = MutualTlsMode | "CLOSED";

/**
 * What a port takes. A proxy without a certificate of the mesh takes plain text only, and nothing where mutual TLS must be.
 * @param peers absent where there is no certificate, and none is needed.
 * @param port any that nothing is said of unless given.
 */
export function modeAt(peers: PeerSettings | undefined, port?: number): TakenMode {
  if (!peers) return "DISABLE";
  const { policy, identified } = peers;
  const mode = ownValue(policy.ports, String(port)) ?? policy.mode;
  if (identified) return mode;
  return mode === "STRICT" ? "CLOSED" : "DISABLE";
}
