import { FieldPath, warning } from "../field.ts";
import { bodySize } from "./http-action-validation.ts";
import type { HTTPRoute } from "./http-route.ts";
import { isAddress } from "./names.ts";
import { shadowedPrefixes, unusedRules } from "./unreachable-rules.ts";
import type { VirtualService } from "./virtual-service.ts";

/** Body of a route's own answer that begins to weigh on the control plane, in bytes. */
const largeBody = 100 * 1024;

type Warnings = Generator<string, void>;

function* gatewayWarnings(names: readonly string[] | undefined, path: FieldPath): Warnings {
  for (const [index, name] of (names ?? []).entries()) {
    if (name.includes("/") || !name.includes(".")) continue;
    const [gateway = "", namespace = ""] = name.split(".");
    yield warning(path.item(index), `an old form of a Gateway's name; write ${namespace}/${gateway}`);
  }
}

function* routeWarnings(route: HTTPRoute, path: FieldPath): Warnings {
  for (const name of ["mirrorPercent", "mirror_percent"] as const) {
    if (route[name] !== undefined) yield warning(path.field(name), "deprecated; use mirrorPercentage");
  }
  const abort = route.fault?.abort;
  if (abort && abort.httpStatus === undefined && abort.grpcStatus === undefined) {
    yield warning(path.field("fault", "abort"), "does nothing without httpStatus or grpcStatus");
  }
  if (bodySize(route.directResponse?.body) > largeBody) {
    yield warning(
      path.field("directResponse", "body"),
      `bodies of more than ${largeBody} bytes slow the control plane`,
    );
  }
  for (const [index, { gateways }] of (route.match ?? []).entries()) {
    yield* gatewayWarnings(gateways, path.field("match").item(index).field("gateways"));
  }
}

/** What Istio warns of in a VirtualService. */
export function* virtualServiceWarnings({ spec }: VirtualService): Warnings {
  const path = FieldPath.root.field("spec");
  const { http = [], tls = [], tcp = [] } = spec;
  yield* gatewayWarnings(spec.gateways, path.field("gateways"));
  for (const [index, route] of http.entries()) yield* routeWarnings(route, path.field("http").item(index));
  for (const [rule, { match }] of tls.entries()) {
    for (const [index, { sniHosts }] of match.entries()) {
      const at = path.field("tls").item(rule).field("match").item(index).field("sniHosts");
      for (const [host, name] of sniHosts.entries()) {
        if (isAddress(name)) yield warning(at.item(host), "most clients send no IP address as server name");
      }
    }
  }
  yield* unusedRules(http, path.field("http"));
  yield* shadowedPrefixes(http, path.field("http"));
  yield* unusedRules(tls, path.field("tls"));
  yield* unusedRules(tcp, path.field("tcp"));
}
