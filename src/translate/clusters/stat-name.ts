/** A service as names of statistics tell it. */
interface StatService {
  readonly host: string;
  /** Short name of a Kubernetes service; the host of another. */
  readonly name: string;
  readonly namespace: string;
}

/** A port of a service as names of statistics tell it. */
interface StatPort {
  readonly number: number;
  readonly name: string;
  /** The workload's own port; 0 where it is not known. */
  readonly target?: number;
  readonly subset?: string;
}

/**
 * The name of a service's statistics by the mesh's pattern, with the variables of Istio's `inboundClusterStatName` and
 * `outboundClusterStatName` replaced; the other name where there is no pattern.
 */
export function statName(pattern: string, service: StatService, port: StatPort, otherwise: string): string {
  if (pattern === "") return otherwise;
  const { host, name, namespace } = service;
  const values = new Map([
    ["%SERVICE%", name === host ? host : `${name}.${namespace}`],
    ["%SERVICE_NAME%", name],
    ["%SERVICE_FQDN%", host],
    ["%SUBSET_NAME%", port.subset ?? ""],
    ["%TARGET_PORT%", String(port.target ?? 0)],
    ["%SERVICE_PORT%", String(port.number)],
    ["%SERVICE_PORT_NAME%", port.name],
  ]);
  return pattern.replaceAll(/%[A-Z_]+%/g, (variable) => values.get(variable) ?? variable);
}
