import type { HTTPRedirect } from "#api/istio/http-route.ts";
import { create } from "@bufbuild/protobuf";
import {
  type RedirectAction,
  RedirectAction_RedirectResponseCode as Code,
  RedirectActionSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";

const codes: Readonly<Record<number, Code>> = {
  301: Code.MOVED_PERMANENTLY,
  302: Code.FOUND,
  303: Code.SEE_OTHER,
  307: Code.TEMPORARY_REDIRECT,
  308: Code.PERMANENT_REDIRECT,
};

/** The port that the new location names; 0 leaves it out, as it must be where it is the scheme's own. */
function portOf(redirect: HTTPRedirect, port: number, scheme: string): number {
  const named = redirect.port ?? (redirect.derivePort === "FROM_REQUEST_PORT" ? port : 0);
  return named === (scheme === "https" ? 443 : 80) ? 0 : named;
}

/**
 * Istio's redirect as Envoy's.
 * @param port the listener's, which stands for the request's: each port has its own routes.
 * @param tls whether the listener terminates TLS.
 */
export function redirectAction(redirect: HTTPRedirect, port: number, tls: boolean): RedirectAction {
  const scheme = redirect.scheme ?? "";
  return create(RedirectActionSchema, {
    hostRedirect: redirect.authority ?? "",
    pathRewriteSpecifier:
      (redirect.prefixRewrite ?? "") === ""
        ? { case: "pathRedirect", value: redirect.uri ?? "" }
        : { case: "prefixRewrite", value: redirect.prefixRewrite ?? "" },
    schemeRewriteSpecifier: scheme === "" ? { case: undefined } : { case: "schemeRedirect", value: scheme },
    portRedirect: portOf(redirect, port, scheme === "" ? (tls ? "https" : "http") : scheme),
    responseCode: codes[redirect.redirectCode ?? 301] ?? Code.MOVED_PERMANENTLY,
  });
}
