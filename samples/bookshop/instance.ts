/** Which copy of which service this process is. */
export interface Instance {
  readonly service: string;
  readonly version: string;
  readonly pod: string;
  readonly cluster: string;
}

/** What a process of the bookshop reads from its environment. */
export interface Settings {
  readonly instance: Instance;
  /** The port to serve on. */
  readonly port: number;
  /** Milliseconds between the wish to stop and the end of accepting; see `stopping.ts`. */
  readonly drainMs: number;
  /** How many of a hundred requests are answered with 503, so that there is something to retry; by chance. */
  readonly failPercent: number;
  /** The value of a variable, or what stands for it. */
  readonly get: (name: string, otherwise: string) => string;
}

/** Reads the settings of a service. */
export function readSettings(
  service: string,
  port: number,
  env: Readonly<Record<string, string | undefined>>,
): Settings {
  const get = (name: string, otherwise: string): string => env[name] ?? otherwise;
  const number = (name: string, otherwise: number): number => {
    const value = Number(get(name, String(otherwise)));
    if (!Number.isInteger(value) || value < 0) throw new Error(`${name}: "${env[name]}" is not a whole number`);
    return value;
  };
  const instance = {
    service,
    version: get("VERSION", "v1"),
    pod: get("POD_NAME", "local"),
    cluster: get("CLUSTER", "local"),
  };
  return {
    instance,
    port: number("PORT", port),
    drainMs: number("DRAIN_MS", 1500),
    failPercent: number("FAIL_PERCENT", 0),
    get,
  };
}

/** Writes one line of JSON about what happened. */
export function log(instance: Instance, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  const { service, version } = instance;
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), service, version, message, ...fields })}\n`);
}
