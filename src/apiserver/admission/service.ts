import { resourceName, type FieldError, type Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Service, ServiceSpec } from "#api/kubernetes/service.ts";
import type { Context } from "../context.ts";
import { ApiError, invalid } from "../status.ts";
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

function refuse(kind: Kind, service: Service, error: FieldError): ApiError {
  return invalid(kind, service.metadata.name, [error]);
}

function clash(kind: Kind, service: Service): ApiError | undefined {
  const { clusterIP, clusterIPs } = service.spec;
  if (!clusterIP || clusterIPs === undefined || clusterIPs.length === 0 || clusterIPs[0] === clusterIP) {
    return undefined;
  }
  return refuse(kind, service, {
    field: "spec.clusterIPs[0]",
    reason: "FieldValueInvalid",
    message: `Invalid value: ${JSON.stringify(clusterIPs)}: must match \`clusterIP\``,
  });
}

async function reserve(context: Context, kind: Kind, service: Service): Promise<Reservation | undefined> {
  const { addresses } = context;
  if (addresses === undefined) return undefined;
  const { namespace = "", name } = service.metadata;
  const explicit = wanted(service.spec);
  const reservation =
    explicit === "" ? await addresses.reserve(namespace, name) : await addresses.reserveExplicit(explicit);
  if (reservation === undefined) {
    throw new ApiError("InternalError", "every address of the Services' range is taken: remove Services or widen it");
  }
  if ("reason" in reservation) throw refuse(kind, service, reservation);
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
  const problem = clash(kind, service);
  if (problem !== undefined) throw problem;
  const address = wanted(service.spec);
  const held = before === undefined ? "" : wanted((before as Service).spec);
  if (address === headless || (held !== "" && address === held)) {
    return admitted(withAddress(service, address));
  }
  if (held !== "") {
    throw refuse(kind, service, {
      field: "spec.clusterIP",
      reason: "FieldValueInvalid",
      message: `Invalid value: ${JSON.stringify(address)}: may not change once set`,
    });
  }
  const reservation = await reserve(context, kind, service);
  if (reservation === undefined) return admitted(object);
  return { object: withAddress(service, reservation.address), release: reservation.release };
}

/** An update that does not name the address keeps it, so that a file without it can be applied again. */
export function keepAddress(
  kind: Kind,
  submitted: Readonly<Record<string, unknown>>,
  before: ResourceObject,
): Readonly<Record<string, unknown>> {
  if (resourceName(kind) !== "services") return submitted;
  const spec = submitted["spec"];
  if (typeof spec !== "object" || spec === null || Array.isArray(spec)) return submitted;
  const now = spec as Partial<ServiceSpec>;
  const { clusterIP, clusterIPs, type } = (before as Service).spec;
  const external = now.type === "ExternalName" || type === "ExternalName";
  if (external || clusterIP === undefined || now.clusterIP || (now.clusterIPs ?? []).length > 0) return submitted;
  return { ...submitted, spec: { ...now, clusterIP, clusterIPs: clusterIPs ?? [clusterIP] } };
}
