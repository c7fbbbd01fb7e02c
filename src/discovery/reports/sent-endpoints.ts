import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { addressText, setHash, wholeHash } from "#api/weft/endpoint-sets.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { DueEndpoints } from "#xds/port.ts";

/** The endpoints of all clusters that a proxy is to hold, in short. */
export interface DueSets {
  /** As an agent has it of what Envoy holds. */
  readonly hash: string;
  /** By cluster, of those that have addresses. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** The addresses in an endpoint set, as proxies are sent it. */
export function addressesIn(resource: EncodedResource): readonly string[] {
  const { endpoints } = fromBinary(ClusterLoadAssignmentSchema, fromBinary(AnySchema, resource.any).value);
  return endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.flatMap(({ hostIdentifier: host }) => {
      const place = host.case === "endpoint" ? host.value.address?.address : undefined;
      if (place?.case === "pipe") return [place.value.path];
      if (place?.case !== "socketAddress") return [];
      const { address, portSpecifier: port } = place.value;
      return port.case === "portValue" ? [addressText(address, port.value)] : [];
    }),
  );
}

/** Works out what proxies are to hold: of each set once, and of all together once for all proxies that are to hold the same. */
export class SentEndpoints {
  readonly #ofResource = new WeakMap<EncodedResource, string>();
  readonly #ofView = new WeakMap<object, { readonly revision: number; readonly sets: DueSets }>();

  sets({ view, revision, resources }: DueEndpoints): DueSets {
    const known = this.#ofView.get(view);
    if (known?.revision === revision) return known.sets;
    const hashes = new Map<string, string>();
    for (const resource of resources()) {
      const hash = this.#hash(resource);
      if (hash !== "") hashes.set(resource.name, hash);
    }
    const sets = { hash: wholeHash(hashes), hashes };
    this.#ofView.set(view, { revision, sets });
    return sets;
  }

  #hash(resource: EncodedResource): string {
    const hash = this.#ofResource.get(resource) ?? setHash(addressesIn(resource));
    this.#ofResource.set(resource, hash);
    return hash;
  }
}
