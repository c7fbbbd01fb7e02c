import { equal } from "#base/canonical.ts";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Service, ServiceSpec } from "#api/kubernetes/service.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import type { Context } from "../context.ts";
import { forbidden, invalid } from "../status.ts";
import { admitted, type Admitted } from "./admitted.ts";
import type { Reservation } from "./service-addresses.ts";

/** The address that a headless Service has. */
const headless = "None";

function withAddress(service: Service, address: string): ResourceObject {
  return {
    ...service,
    spec: {
      ...service.spec,
      clusterIP: address,
      clusterIPs: [address],
      ipFamilies: service.spec.ipFamilies ?? ["IPv4"],
      ipFamilyPolicy: service.spec.ipFamilyPolicy ?? "SingleStack",
    },
  };
}

/** An ExternalName Service has no address. */
function withoutAddress(service: Service): ResourceObject {
  const { clusterIP: _, clusterIPs: __, ipFamilies: ___, ipFamilyPolicy: ____, ...spec } = service.spec;
  return { ...service, spec };
}

function wanted({ clusterIP, clusterIPs }: ServiceSpec): string {
  return clusterIP || (clusterIPs?.[0] ?? "");
}

async function reserve(context: Context, kind: Kind, service: Service): Promise<Reservation | undefined> {
  const { addresses } = context;
  if (addresses === undefined) return undefined;
  const { namespace = "", name } = service.metadata;
  const explicit = wanted(service.spec);
  const reservation =
    explicit === "" ? await addresses.reserve(namespace, name) : await addresses.reserveExplicit(explicit);
  if (reservation === undefined) {
    throw forbidden(kind, name, "every address of the Services' range is taken: remove Services or widen the range");
  }
  if ("reason" in reservation) throw invalid(kind, name, [reservation]);
  return reservation;
}

/** Gives a Service its address. The caller releases the reservation when the Service is stored, or is not. */
export async function admitService(
  context: Context,
  kind: Kind,
  object: ResourceObject,
  before: ResourceObject | undefined,
): Promise<Admitted> {
  const service = object as Service;
  if (service.spec.type === "ExternalName") return admitted(withoutAddress(service));
  const address = wanted(service.spec);
  const held = before === undefined ? "" : wanted((before as Service).spec);
  if (address === headless || (held !== "" && address === held)) {
    return admitted(withAddress(service, address));
  }
  const reservation = await reserve(context, kind, service);
  if (reservation === undefined) return admitted(object);
  return { object: withAddress(service, reservation.address), release: reservation.release };
}

/** Fields that belong to some types of Services; a change of type leaves them behind unless it sets them anew. */
const typeFields = [
  "clusterIP",
  "clusterIPs",
  "ipFamilies",
  "ipFamilyPolicy",
  "internalTrafficPolicy",
  "externalTrafficPolicy",
  "healthCheckNodePort",
  "allocateLoadBalancerNodePorts",
  "loadBalancerClass",
] as const;

function withoutTypeFields(spec: Partial<ServiceSpec>, before: ServiceSpec): Partial<ServiceSpec> {
  const stale = typeFields.filter((name) => name in spec && equal(spec[name], before[name]));
  return Object.fromEntries(Object.entries(spec).filter(([name]) => !stale.some((other) => other === name)));
}

/**
 * Prepares a change of a Service. One that does not name the address keeps it, so that a file without it can be applied
 * again; one of the type alone, as a patch makes it, leaves behind what the new type cannot have.
 */
export function carryOverService(submitted: JsonObject, before: ResourceObject): JsonObject {
  const given = submitted["spec"];
  if (!isObject(given)) return submitted;
  const { spec: old } = before as Service;
  const typed = given as Partial<ServiceSpec>;
  const spec = (typed.type ?? "ClusterIP") === old.type ? typed : withoutTypeFields(typed, old);
  const external = spec.type === "ExternalName" || old.type === "ExternalName";
  const named = Boolean(spec.clusterIP) || (spec.clusterIPs ?? []).length > 0;
  if (external || named || old.clusterIP === undefined) return { ...submitted, spec };
  const { clusterIP, clusterIPs = [clusterIP] } = old;
  return { ...submitted, spec: { ...spec, clusterIP, clusterIPs } };
}
