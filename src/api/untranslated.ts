import type { Finding } from "./finding.ts";
import { backendTLSPolicy } from "./gateway-api/backend-tls-policy.ts";
import { gatewayClass } from "./gateway-api/gateway-class.ts";
import { gateway } from "./gateway-api/gateway.ts";
import { grpcRoute } from "./gateway-api/grpc-route.ts";
import { httpRoute } from "./gateway-api/http-route.ts";
import { listenerSet } from "./gateway-api/listener-set.ts";
import { tcpRoute, tlsRoute, udpRoute } from "./gateway-api/route.ts";
import { telemetry } from "./istio/telemetry.ts";
import type { Kind } from "./kind.ts";
import type { ObjectRef } from "./meta.ts";

/** What an object of each kind would do, that it does not do yet. Who translates a kind takes it off this list. */
const missing: readonly (readonly [kind: Kind, text: string])[] = [
  [telemetry, "proxies tell what they told without it"],
  ...[backendTLSPolicy, gatewayClass, gateway, grpcRoute, httpRoute, listenerSet].map(uncontrolled),
  ...[tcpRoute, tlsRoute, udpRoute].map(uncontrolled),
];

function uncontrolled(kind: Kind): readonly [Kind, string] {
  return [kind, "Weft is no controller of the Gateway API yet"];
}

/** Kinds whose objects are stored and validated, but change nothing yet. */
export const untranslatedKinds: readonly Kind[] = missing.map(([kind]) => kind);

/** What is to be said of an object that changes nothing yet, because of its kind; undefined for other kinds. */
export function untranslatedFinding(resource: ObjectRef): Finding | undefined {
  const found = missing.find(([kind]) => kind.group === resource.group && kind.kind === resource.kind);
  if (found === undefined) return undefined;
  const [{ kind }, text] = found;
  const message = `Objects of the kind ${kind} are stored and checked, but have no effect yet: ${text}.`;
  return { code: "NotImplemented", severity: "warning", resource, message };
}
