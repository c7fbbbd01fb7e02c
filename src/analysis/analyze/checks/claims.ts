import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { RequestAuthenticationSpec } from "#api/istio/request-authentication.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { labelsMatch } from "#model/labels.ts";
import { only } from "#model/services.ts";
import { resolveGateway } from "#model/virtualservices.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects, Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** What stands in place of a header's name where a claim is matched. */
const claim = /^@request\.auth\.claims[.[]/i;

/** The first match of a claim: its name, and the field that has it. */
function claimIn({ http = [] }: VirtualServiceSpec): { readonly key: string; readonly field: string } | undefined {
  for (const [rule, { match = [] }] of http.entries()) {
    for (const [index, each] of match.entries()) {
      for (const name of ["headers", "withoutHeaders"] as const) {
        const key = Object.keys(each[name] ?? {}).find((header) => claim.test(header));
        if (key !== undefined) return { key, field: `spec.http[${rule}].match[${index}].${name}` };
      }
    }
  }
  return undefined;
}

function* unverified(rules: Subject<VirtualServiceSpec>, objects: MeshObjects): Generator<Problem> {
  const found = claimIn(rules.spec);
  if (!found) return;
  const root = objects.mesh.model.services.mesh.get(only).rootNamespace;
  const policies = objects.all<RequestAuthenticationSpec>("RequestAuthentication");
  const gateways = objects.all<GatewaySpec>("Gateway");
  for (const name of (rules.spec.gateways ?? []).map((each) => resolveGateway(each, rules.namespace))) {
    const gateway = gateways.find((each) => `${each.namespace}/${each.name}` === name);
    const pod = objects
      .pods(gateway?.spec.selector ?? {})
      .find(
        ({ namespace, labels }) =>
          !policies.some(
            (policy) =>
              (policy.namespace === root || policy.namespace === namespace) &&
              labelsMatch(policy.spec.selector?.matchLabels ?? {}, labels),
          ),
      );
    if (!gateway || !pod) continue;
    const message = `${found.key} is matched, but no RequestAuthentication is for Pod ${pod.namespace}/${pod.name} of Gateway ${name}: tokens are not verified there, and the match never fits.`;
    yield problemOf(rules.ref, { code: "JwtClaimBasedRoutingWithoutRequestAuthN", field: found.field, message });
  }
}

/** Matches of claims that nobody verifies. */
export const claimAnalyzer: Analyzer = {
  name: "virtualservice.JWTClaimRouteAnalyzer",
  description: "Checks that routes by claims of tokens have a RequestAuthentication",
  *problems(objects) {
    for (const rules of objects.all<VirtualServiceSpec>("VirtualService")) yield* unverified(rules, objects);
  },
};
