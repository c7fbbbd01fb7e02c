/** The control planes of a mesh, which tell of their proxies: those of this machine, and those of others. */
import { readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { Lease } from "#api/kubernetes/lease.ts";
import { proxyApiClient, proxyApiName, proxyApiPlace, replicaLabel, replicaLabelValue } from "#api/weft/replicas.ts";
import type { GatheredObject } from "#apiserver/gathering/state.ts";
import type { Teller } from "#apiserver/handlers/gathered.ts";
import { type Authority, type Credential, isDue } from "#apiserver/pki/authority.ts";
import type { Clock } from "#base/clock.ts";
import type { ResourceStore } from "#store/port.ts";

/** What is needed to find them. */
export interface ControlPlanesOptions {
  /** Folder of this machine's sockets: `discovery.sock`, and `discovery-REVISION.sock`. */
  readonly runDir: string;
  /** Where Leases are that tell of others. */
  readonly store: ResourceStore;
  /** The authority of the mesh's API, by which this server shows others who it is; undefined where it shows nobody. */
  readonly authority: () => Authority | undefined;
  readonly clock: Clock;
}

/** Milliseconds for which a control plane is asked that does not renew its Lease any more. */
const patienceMs = 30_000;
const credentialMs = 86_400_000;
const socketName = /^discovery(-[^/]+)?\.sock$/;

/** Finds the control planes that are there. */
export class ControlPlanes {
  readonly #options: ControlPlanesOptions;
  #credential: Credential | undefined;

  constructor(options: ControlPlanesOptions) {
    this.#options = options;
  }

  /** Those of this machine, and those whose Leases tell of an address and are being renewed. */
  async all(): Promise<readonly Teller[]> {
    return [...this.#here(), ...(await this.#elsewhere())];
  }

  #here(): readonly Teller[] {
    const { runDir } = this.#options;
    const names = readdirSync(runDir).filter((name) => socketName.test(name));
    const paths = new Set(names.flatMap((name) => realPath(join(runDir, name)) ?? []));
    return [...paths].map((socketPath) => ({ name: `the control plane at ${socketPath}`, at: { socketPath } }));
  }

  async #elsewhere(): Promise<readonly Teller[]> {
    const { store, authority: authorityOf, clock } = this.#options;
    const authority = authorityOf();
    if (!authority) return [];
    // Other namespaces belong to others, who are not believed about control planes.
    const selection = { partition: "mesh", resource: "leases.coordination.k8s.io", namespace: "istio-system" } as const;
    const { items } = await store.list(selection, {
      matches: ({ metadata: { labels } }) => labels?.[replicaLabel] === replicaLabelValue,
    });
    const { certificate: cert, key } = this.#shown(authority);
    return items.flatMap(({ object }) => {
      const { metadata, spec } = object as Lease;
      const place = proxyApiPlace({ metadata });
      const renewed = Date.parse(spec.renewTime ?? "");
      if (!place || !(clock.now() - renewed < patienceMs)) return [];
      const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(place.address) ?? [];
      const host = bracketed ?? plain;
      if (host === undefined) return [];
      const at = { host, port, ca: place.authority, cert, key, servername: proxyApiName };
      return [{ name: `the control plane ${spec.holderIdentity} at ${place.address}`, at }];
    });
  }

  /** The certificate by which this server asks. */
  #shown(authority: Authority): Credential {
    const { clock } = this.#options;
    if (!this.#credential || isDue(this.#credential.certificate, clock.now()))
      this.#credential = authority.issueClient({ name: proxyApiClient, groups: [] }, credentialMs);
    return this.#credential;
  }
}

/** The path without links; undefined for what leads nowhere. */
function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** A proxy without what differs in each report of its agent. */
export function withoutFigures(object: GatheredObject): object {
  const { usage: _usage, traffic: _traffic, agent, ...status } = object.status ?? {};
  const { reportedAt: _at, ...told } = (agent ?? {}) as { readonly reportedAt?: unknown };
  return { ...object, status: { ...status, agent: told } };
}
