import type { PeerAuthenticationSpec } from "#api/istio/peer-authentication.ts";
import type { StringMap } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { labelsMatch } from "./labels.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";
import { only, type ServiceQueries } from "./services.ts";
import type { Tables } from "./tables.ts";

/** What a workload's port takes: plain text, both, or mutual TLS only. */
export type MutualTlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";

/** What the ports of a workload take. */
export interface PortPolicy {
  /** What ports take that are not among `ports`. */
  readonly mode: MutualTlsMode;
  /** By the workload's port number. */
  readonly ports: Readonly<Record<string, MutualTlsMode>>;
}

/** The same, and whose word it is. */
export interface PeerPolicy extends PortPolicy {
  /** The PeerAuthentications that say so, `namespace/name`, the narrowest first. */
  readonly by: readonly string[];
}

/** A workload, as far as it decides which PeerAuthentications are for it. */
interface Workload {
  readonly namespace: string;
  readonly labels: StringMap;
}

/** Questions about PeerAuthentications. */
export interface PeerAuthenticationQueries {
  /** What a workload takes. */
  readonly policy: (workload: Workload) => PeerPolicy;
  /** Whether mutual TLS is off for a whole namespace, so that its services are called in plain text. */
  readonly isOffIn: Query<string, boolean>;
  /** Whether a port of a workload takes no mutual TLS. */
  readonly isOffAt: (workload: Workload, port: number) => boolean;
}

type Row = Config<PeerAuthenticationSpec>;

/** The PeerAuthentications that hold for a workload, each the oldest of its kind. */
interface Levels {
  readonly mesh: Row | undefined;
  readonly namespace: Row | undefined;
  readonly workload: Row | undefined;
}

/** Labels of the workloads that a PeerAuthentication is for; empty for all. */
export function peerSelector({ selector }: PeerAuthenticationSpec): StringMap {
  return selector?.matchLabels ?? {};
}

/** Whether a PeerAuthentication is for chosen workloads. */
function chooses({ spec }: Row): boolean {
  return Object.keys(peerSelector(spec)).length > 0;
}

/** The PeerAuthentication that is a namespace's default, or the mesh's in the root namespace: the oldest without a selector. */
export function defaultPeerAuthentication(rows: readonly Row[]): Row | undefined {
  return rows.toSorted(byAge).find((row) => !chooses(row));
}

function modeOr(mtls: PeerAuthenticationSpec["mtls"], wider: MutualTlsMode): MutualTlsMode {
  const { mode = "UNSET" } = mtls ?? {};
  return mode === "UNSET" ? wider : mode;
}

/** The modes of all levels put together: what one leaves unset the next wider one says. */
function compose({ mesh, namespace, workload }: Levels): PeerPolicy {
  const wider = modeOr(namespace?.spec.mtls, modeOr(mesh?.spec.mtls, "PERMISSIVE"));
  const mode = modeOr(workload?.spec.mtls, wider);
  const ports = Object.entries(workload?.spec.portLevelMtls ?? {}).map(([port, mtls]) => [port, modeOr(mtls, mode)]);
  const by = [workload, namespace, mesh].flatMap((row) => (row ? [`${row.namespace}/${row.name}`] : []));
  return { mode, ports: Object.fromEntries(ports) as PeerPolicy["ports"], by };
}

function disables({ mtls, portLevelMtls = {} }: PeerAuthenticationSpec): boolean {
  return [mtls, ...Object.values(portLevelMtls)].some((each) => each?.mode === "DISABLE");
}

/** Declares the queries about PeerAuthentications. */
export function peerAuthenticationQueries(
  engine: Engine,
  tables: Tables,
  services: ServiceQueries,
): PeerAuthenticationQueries {
  const rowsIn = (namespace: string): readonly Row[] => tables.peerAuthentications.byNamespace.rows(namespace);
  const root = (): string => services.mesh.get(only).rootNamespace;

  /** Of the root namespace those without a selector only: those with one are for nobody, as in Istio. */
  const levels = ({ namespace, labels }: Workload): Levels => {
    const mesh = defaultPeerAuthentication(rowsIn(root()));
    if (namespace === root()) return { mesh, namespace: undefined, workload: undefined };
    const rows = rowsIn(namespace);
    const chosen = rows.filter((row) => chooses(row) && labelsMatch(peerSelector(row.spec), labels));
    return { mesh, namespace: defaultPeerAuthentication(rows), workload: chosen.toSorted(byAge)[0] };
  };

  const composed = engine.query<Workload, PeerPolicy>({
    name: "peer-policy",
    key: canonical,
    compute: (workload) => compose(levels(workload)),
  });

  /** Names of labels by which a namespace's workloads are chosen. */
  const labelNames = engine.stringQuery("peer-labels", (namespace): readonly string[] =>
    [...new Set(rowsIn(namespace).flatMap(({ spec }) => Object.keys(peerSelector(spec))))].toSorted(),
  );

  /** A workload with those of its labels that decide: workloads that agree in them share what is computed. */
  const narrowed = ({ namespace, labels }: Workload): Workload => {
    const told = labelNames.get(namespace).flatMap((name) => {
      const value = ownValue(labels, name);
      return value === undefined ? [] : [[name, value] as const];
    });
    return { namespace, labels: Object.fromEntries(told) };
  };

  const policy = (workload: Workload): PeerPolicy => composed.get(narrowed(workload));

  /** Whether anything is off for anyone of a namespace; where not, which is nearly everywhere, nobody's labels are looked at. */
  const disabledIn = engine.stringQuery(
    "peers-disabled",
    (namespace): boolean => isOffIn.get(namespace) || rowsIn(namespace).some(({ spec }) => disables(spec)),
  );

  const isOffIn = engine.stringQuery(
    "mutual-tls-off",
    (namespace): boolean => composed.get({ namespace, labels: {} }).mode === "DISABLE",
  );

  return {
    policy,
    isOffIn,
    isOffAt: (workload, port) => {
      if (!disabledIn.get(workload.namespace)) return false;
      const { mode, ports } = policy(workload);
      return (ownValue(ports, String(port)) ?? mode) === "DISABLE";
    },
  };
}
