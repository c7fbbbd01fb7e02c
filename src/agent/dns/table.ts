import { isIPv4 } from "node:net";
import type { Answer } from "./message.ts";
import { recordTypes } from "./message.ts";

/** One host of a name table, as the control plane sends it. */
export interface NameEntry {
  readonly ips: readonly string[];
  /** `Kubernetes` for Services, else another word. */
  readonly registry: string;
  readonly shortname: string;
  readonly namespace: string;
}

/** From where names are looked up. */
export interface Place {
  readonly namespace: string;
  /** The domain of the cluster's Services, such as `cluster.local`. */
  readonly clusterDomain: string;
  /** Whether others know names of that domain, too, as a cluster's own name server does. */
  readonly sharesDomain?: boolean;
}

/** Seconds that an answer may be kept, as Istio's DNS proxy has it. */
const ttl = 30;

/** All names by which one host may be asked for: Kubernetes' short forms for Services, the full name for others. */
function namesOf(host: string, entry: NameEntry, place: Place): readonly string[] {
  const full = host.toLowerCase().replace(/\.$/, "");
  const services = `svc.${place.clusterDomain}`;
  if (entry.registry !== "Kubernetes" || !full.endsWith(`.${services}`)) return [full];
  const short = `${entry.shortname}.${entry.namespace}`.toLowerCase();
  const own = entry.namespace === place.namespace ? [entry.shortname.toLowerCase()] : [];
  return [full, `${short}.svc`, short, ...own];
}

/** The hosts that a Pod can resolve. Follows what Istio's DNS proxy answers. */
export class LookupTable {
  readonly #addresses = new Map<string, readonly string[]>();
  /** Names of Services, all forms of them. */
  readonly #ofCluster = new Set<string>();
  readonly #search: string;
  /** The domain whose names nobody else knows; undefined where others do. */
  readonly #domain: string | undefined;

  constructor(hosts: Readonly<Record<string, NameEntry>>, place: Place) {
    this.#search = `.${place.namespace}.svc.${place.clusterDomain}`;
    if (place.sharesDomain !== true) this.#domain = place.clusterDomain.toLowerCase();
    for (const [host, entry] of Object.entries(hosts)) {
      const addresses = entry.ips.filter((ip) => isIPv4(ip));
      if (entry.ips.length === 0) continue;
      for (const name of namesOf(host, entry, place)) {
        this.#addresses.set(name, addresses);
        if (entry.registry === "Kubernetes") this.#ofCluster.add(name);
      }
    }
  }

  /** How many names it holds. */
  get size(): number {
    return this.#addresses.size;
  }

  /**
   * The answers to a question, or undefined for one that others may know the answer to: about a name that is not of the mesh,
   * or about other records than addresses, of which the cluster's own names have none. A name that is known but has no record of
   * the type gives an empty list, which is not the same as no such name.
   */
  answers(name: string, type: number): readonly Answer[] | undefined {
    const isAddress = type === recordTypes.a || type === recordTypes.aaaa;
    if (!isAddress) return this.#ofCluster.has(name) ? [] : undefined;
    const direct = this.#find(name);
    if (direct !== undefined) return type === recordTypes.a ? addressRecords(name, direct) : [];
    // A resolver tries the search domains first: `httpbin.org.shop.svc.cluster.local` stands for `httpbin.org`.
    if (!name.endsWith(this.#search)) return undefined;
    const target = name.slice(0, -this.#search.length);
    const expanded = target === "" ? undefined : this.#find(target);
    if (expanded === undefined) return undefined;
    if (type !== recordTypes.a || expanded.length === 0) return [];
    return [{ kind: "cname", name, target, ttl }, ...addressRecords(target, expanded)];
  }

  /** Whether a name is of the cluster's own domain: nobody else knows such names, and nobody else needs to hear them. */
  owns(name: string): boolean {
    return this.#domain !== undefined && (name === this.#domain || name.endsWith(`.${this.#domain}`));
  }

  /** The addresses of a name, or of the closest wildcard that covers it. */
  #find(name: string): readonly string[] | undefined {
    const exact = this.#addresses.get(name);
    if (exact !== undefined) return exact;
    for (let dot = name.indexOf("."); dot !== -1; dot = name.indexOf(".", dot + 1)) {
      const found = this.#addresses.get(`*${name.slice(dot)}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function addressRecords(name: string, addresses: readonly string[]): readonly Answer[] {
  return addresses.map((address) => ({ kind: "a", name, address, ttl }));
}
