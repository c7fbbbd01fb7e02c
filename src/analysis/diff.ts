import type { Finding } from "#api/finding.ts";
import { canonical } from "#base/canonical.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import type { NodeInfo } from "#translate/proxy-class.ts";
import { classResources, type ProxyResources } from "#translate/proxy-resources.ts";
import { type Edit, edit, type OpenMesh, type PlacedObject } from "./snapshot.ts";

/** A proxy of the mesh. */
export interface MeshProxy {
  /** `pod.namespace`. */
  readonly name: string;
  readonly cluster: string;
  readonly node: NodeInfo;
}

/** A kind of resource. */
export type ResourceType = keyof ProxyResources;

/** A resource that would change for some proxies, alike for all of them. */
export interface ResourceChange {
  readonly type: ResourceType;
  readonly name: string;
  readonly proxies: readonly MeshProxy[];
  /** Absent where it would be added. */
  readonly before?: EncodedResource;
  /** Absent where it would be removed. */
  readonly after?: EncodedResource;
}

/** What an edit would do to a mesh. */
export interface MeshDiff {
  readonly changes: readonly ResourceChange[];
  /** Problems that would be new. */
  readonly newFindings: readonly Finding[];
  /** Problems that would be gone. */
  readonly solvedFindings: readonly Finding[];
}

interface ProxyClass {
  readonly key: string;
  readonly proxies: readonly MeshProxy[];
}

const types: readonly ResourceType[] = [
  "listener",
  "route",
  "cluster",
  "endpoints",
  "secret",
  "extension",
  "nameTable",
  "bootstrap",
];

function changesOf(
  before: ProxyResources,
  after: ProxyResources,
  proxies: readonly MeshProxy[],
): readonly ResourceChange[] {
  return types.flatMap((type) => {
    const names = new Set([...before[type].keys(), ...after[type].keys()]);
    return [...names].flatMap((name) => {
      const [old, made] = [before[type].get(name), after[type].get(name)];
      if (old?.version === made?.version) return [];
      return [{ type, name, proxies, ...(old && { before: old }), ...(made && { after: made }) }];
    });
  });
}

/** Changes that are the same for several classes of proxies, once for all of them. */
function joined(changes: readonly ResourceChange[]): readonly ResourceChange[] {
  const keyOf = ({ type, name, before, after }: ResourceChange): string =>
    [type, name, before?.version, after?.version].join("\n");
  const groups = [...Map.groupBy(changes, keyOf).values()];
  return groups.flatMap((group) => {
    const [first] = group;
    return first ? [{ ...first, proxies: group.flatMap(({ proxies }) => proxies) }] : [];
  });
}

function findingsOf({ translator }: OpenMesh, objects: readonly PlacedObject[]): ReadonlyMap<string, Finding> {
  const all = objects.flatMap(({ object: { kind, metadata } }) =>
    translator.findings({ kind, namespace: metadata.namespace ?? "", name: metadata.name }),
  );
  return new Map(all.map((finding) => [canonical(finding), finding]));
}

function without(all: ReadonlyMap<string, Finding>, known: ReadonlyMap<string, Finding>): readonly Finding[] {
  return [...all].filter(([key]) => !known.has(key)).map(([, finding]) => finding);
}

/**
 * What an edit would do to the proxies of a mesh. The mesh is left as it would be then.
 * @param objects the mesh's own objects, as they are, whose findings are compared.
 */
export function diffMesh(
  mesh: OpenMesh,
  objects: readonly PlacedObject[],
  proxies: readonly MeshProxy[],
  change: Edit,
): MeshDiff {
  const { translator } = mesh;
  const classes: readonly ProxyClass[] = [...Map.groupBy(proxies, ({ node }) => translator.classOf(node))].map(
    ([key, members]) => ({ key, proxies: members }),
  );
  const read = (): readonly ProxyResources[] => classes.map(({ key }) => classResources(translator, key));
  const judged = [...objects, ...change.put].filter(({ cluster }) => cluster === "");
  const before = read();
  const findingsBefore = findingsOf(mesh, judged);
  edit(mesh, change);
  const after = read();
  const findingsAfter = findingsOf(mesh, judged);
  const changes = classes.flatMap(({ proxies: members }, at) => {
    const [old, made] = [before[at], after[at]];
    return old && made ? changesOf(old, made, members) : [];
  });
  return {
    changes: joined(changes),
    newFindings: without(findingsAfter, findingsBefore),
    solvedFindings: without(findingsBefore, findingsAfter),
  };
}
