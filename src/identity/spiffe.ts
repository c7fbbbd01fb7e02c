/** Who a workload is: the service account of a namespace in a trust domain. */
export interface Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** A trust domain as it stands in a SPIFFE id, where `@` is not allowed: Istio writes a dot for it. */
function authorityOf(trustDomain: string): string {
  return trustDomain.replaceAll("@", ".");
}

/** What all SPIFFE ids of a trust domain begin with: `spiffe://cluster.local/`. */
export function trustDomainPrefix(trustDomain: string): string {
  return `spiffe://${authorityOf(trustDomain)}/`;
}

/** An identity as a SPIFFE id in Istio's form: `spiffe://cluster.local/ns/shop/sa/reviews`. */
export function spiffeId({ trustDomain, namespace, serviceAccount }: Identity): string {
  return `${trustDomainPrefix(trustDomain)}ns/${namespace}/sa/${serviceAccount}`;
}

/** Characters as SPIFFE-ID 2.1 and 2.2 and Kubernetes' names allow them; a name does not begin with a dot. */
const form =
  /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)\/sa\/([a-z0-9][a-z0-9.-]{0,252})$/;

/** Reads a SPIFFE id in Istio's form; undefined for any other text. */
export function parseSpiffeId(text: string): Identity | undefined {
  const [, trustDomain, namespace, , serviceAccount] = form.exec(text) ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined;
  return { trustDomain, namespace, serviceAccount };
}

/** The trust domains whose identities are the mesh's own: MeshConfig's `trustDomain` and `trustDomainAliases`. */
export interface TrustDomains {
  readonly own: string;
  readonly aliases: readonly string[];
}

/**
 * A name in each of some trust domains, itself alone where it is no SPIFFE id of one of them.
 * @param domains those that count as one.
 */
export function inTrustDomains(name: string, domains: readonly string[]): readonly string[] {
  const own = domains.map(trustDomainPrefix).find((prefix) => name.startsWith(prefix));
  return own === undefined ? [name] : domains.map((domain) => trustDomainPrefix(domain) + name.slice(own.length));
}

/** Whether an identity is of the mesh itself. */
export function isOwn({ trustDomain }: Identity, { own, aliases }: TrustDomains): boolean {
  return [own, ...aliases].some((domain) => authorityOf(domain) === authorityOf(trustDomain));
}
