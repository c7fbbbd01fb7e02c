/**
 * How many translations run for one change, with few and with many proxies: the count follows the distinct views that
 * the change affects. `node bench/translate.ts`; the last line is JSON.
 */
import { Follower } from "#translate/testing/follower.ts";
import type { ObjectInput } from "#model/testing/objects.ts";
import type { TestMesh } from "#translate/testing/mesh.ts";
import { printFigures, progress } from "./figures.ts";
import {
  destinationRule,
  envoyFilter,
  put,
  type Scale,
  scaleMesh,
  scaleNode,
  serviceObjects,
  virtualService,
} from "#translate/testing/scale.ts";

/** Queries that make messages for proxies. */
const translations = [
  "cluster",
  "fixed-cluster",
  "inbound-cluster",
  "endpoints",
  "outbound-listener",
  "virtual-outbound",
  "virtual-inbound",
  "routes",
  "virtual-host",
  "virtual-host-resource",
  "catch-all-resource",
  "sidecar-routes",
  "name-table",
  "patched",
] as const;

/** What one change cost. */
type Row = {
  readonly services: number;
  readonly proxies: number;
  readonly classes: number;
  readonly sidecars: boolean;
  readonly change: string;
  readonly translations: number;
  /** Every query of the model and of translation. */
  readonly queries: number;
  readonly milliseconds: number;
};

const namespaces = 20;

function totals({ engine }: TestMesh): { readonly translations: number; readonly queries: number } {
  const counts = engine.computations;
  const queries = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return { translations: translations.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0), queries };
}

function changes(scale: Scale): readonly (readonly [string, (generation: number) => readonly ObjectInput[]])[] {
  return [
    ["VirtualService", (generation) => [virtualService(15, scale, generation)]],
    ["DestinationRule", (generation) => [destinationRule(15, scale, generation)]],
    ["EnvoyFilter", (generation) => [envoyFilter(15, scale, generation)]],
    ["endpoints", (generation) => serviceObjects(15, scale, generation)],
  ];
}

function measure(scale: Scale, proxies: number): readonly Row[] {
  progress(`translate: ${scale.services} services, ${proxies} proxies, ${scale.sidecars} namespaces behind a Sidecar`);
  const mesh = scaleMesh(scale);
  const made = changes(scale);
  // Once before, so that what is measured is a change and not an object's first appearance.
  for (const [, objects] of made) for (const object of objects(0)) put(mesh, object);
  const follower = new Follower(mesh.engine, mesh.translator);
  const nodes = Array.from({ length: proxies }, (_, index) => scaleNode(index, scale));
  const classes = new Set(nodes.map((node) => mesh.translator.classOf(node, "apart")));
  follower.follow([...classes]);
  return made.map(([change, objects]) => {
    const before = totals(mesh);
    const start = performance.now();
    mesh.engine.change(() => {
      for (const object of objects(1)) put(mesh, object);
    });
    const milliseconds = performance.now() - start;
    const after = totals(mesh);
    return {
      services: scale.services,
      proxies,
      classes: classes.size,
      sidecars: scale.sidecars > 0,
      change,
      translations: after.translations - before.translations,
      queries: after.queries - before.queries,
      milliseconds: Number(milliseconds.toFixed(1)),
    };
  });
}

const rows = [
  ...[0, namespaces / 2].flatMap((sidecars) =>
    [1, 100, 1000].flatMap((proxies) => measure({ services: 1000, namespaces, sidecars }, proxies)),
  ),
  // What ten thousand proxies hold of a thousand services is too much to look at in one process.
  ...[1000, 10_000].flatMap((proxies) => measure({ services: 100, namespaces, sidecars: 0 }, proxies)),
];

printFigures(
  "translate",
  `Translations for one change, of services in ${namespaces} namespaces, half of them behind a Sidecar where it says so`,
  { namespaces },
  rows,
);
