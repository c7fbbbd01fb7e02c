/** Meshes to measure the xDS server with: anything that has a `ResourceSource` and can be changed. */
import type { Engine } from "#incremental/engine.ts";
import { typeUrls } from "#proto/encoded.ts";
import { put, scaleMesh, serviceObjects, virtualService } from "#translate/testing/scale.ts";
import type { ResourceSource } from "#xds/port.ts";
import { cluster, endpoints, listener, route } from "#xds/testing/resources.ts";
import { TableSource } from "#xds/testing/table-source.ts";

/** Changes that are measured, each of the service with number 15. */
export const changeKinds = ["route", "endpoints"] as const;

/** One of them. */
export type ChangeKind = (typeof changeKinds)[number];

/** A mesh to serve. */
export interface BenchMesh {
  readonly engine: Engine;
  readonly source: ResourceSource;
  /** Changes something of one service; each generation differs from the one before. */
  change(kind: ChangeKind, generation: number): void;
}

/** How large a mesh is. */
export interface MeshSize {
  readonly services: number;
  readonly namespaces: number;
}

/** What translation makes of a mesh of HTTP services with two endpoints each. */
function translatedMesh({ services, namespaces }: MeshSize): BenchMesh {
  const scale = { services, namespaces, sidecars: 0 };
  const mesh = scaleMesh(scale);
  put(mesh, virtualService(15, scale, 0));
  return {
    engine: mesh.engine,
    source: mesh.translator,
    change: (kind, generation) =>
      mesh.engine.change(() => {
        // Two addresses are enough to go back and forth between.
        const objects =
          kind === "route" ? [virtualService(15, scale, generation)] : serviceObjects(15, scale, generation % 2);
        for (const object of objects) put(mesh, object);
      }),
  };
}

/**
 * As many clusters, endpoint sets and listeners as services, made without translation: the server's own cost. Proxies
 * have an inbound scope of their own, and all others in common.
 */
function plainMesh({ services }: MeshSize): BenchMesh {
  const source = new TableSource(({ id }) => id);
  const nameOf = (index: number): string => `outbound|80||svc-${index}.ns-${index % 20}.svc.cluster.local`;
  const scopes = (id: string) => ({
    [typeUrls.cluster]: ["clusters", `inbound/${id}`],
    [typeUrls.endpoints]: ["endpoints"],
    [typeUrls.listener]: ["listeners"],
    [typeUrls.route]: ["routes"],
  });
  source.change(() => {
    for (let index = 0; index < services; index += 1) {
      source.set("clusters", cluster(nameOf(index)));
      source.set("endpoints", endpoints(nameOf(index), [1, 2]));
      source.set("routes", route(`route-${index}`, nameOf(index)));
    }
    source.set("listeners", listener("outbound", 15001, "route-15"));
  });
  const own: ResourceSource = {
    classOf: (node) => {
      const key = source.classOf(node);
      source.setScopes(key, scopes(key));
      source.set(`inbound/${key}`, cluster(`inbound|80||${key}`, 100, nameOf(0)));
      return key;
    },
    hostScope: () => undefined,
    scopes: source.scopes,
    names: source.names,
    resource: source.resource,
  };
  return {
    engine: source.engine,
    source: own,
    change: (kind, generation) =>
      source.change(() => {
        if (kind === "route") source.set("routes", route("route-15", nameOf(generation % services)));
        else source.set("endpoints", endpoints(nameOf(15), [1, 2 + generation]));
      }),
  };
}

/** The meshes by name. */
export const meshes = { translated: translatedMesh, plain: plainMesh } as const;

/** One of the names. */
export type MeshName = keyof typeof meshes;
