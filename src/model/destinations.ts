import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { resolveHost } from "./hosts.ts";
import type { Config } from "./rows.ts";
import type { Tables } from "./tables.ts";

/** The VirtualServices that routes of one delegate to, as far as there are such. */
export function delegatesOf(
  rows: Tables["virtualServices"]["rows"],
  { namespace, spec }: Config<VirtualServiceSpec>,
): readonly Config<VirtualServiceSpec>[] {
  return (spec.http ?? []).flatMap(({ delegate }) => {
    const owner = delegate?.namespace ?? "";
    return delegate ? (rows.get(`${owner === "" ? namespace : owner}/${delegate.name ?? ""}`) ?? []) : [];
  });
}

/** Full names of the hosts that a VirtualService's own routes send to. */
export function destinationsOf(row: Config<VirtualServiceSpec>): readonly string[] {
  const { http = [], tls = [], tcp = [] } = row.spec;
  const routes = [...http, ...tls, ...tcp].flatMap((route) => route.route ?? []).map((each) => each.destination.host);
  const mirrors = http.flatMap((route) => [route.mirror, ...(route.mirrors ?? []).map((each) => each.destination)]);
  const hosts = [...routes, ...mirrors.flatMap((mirror) => mirror?.host ?? [])];
  return hosts.map((host) => resolveHost(host, row.namespace));
}
