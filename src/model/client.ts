/** Workloads to which the same DestinationRules apply. */
export interface Viewer {
  /** The namespace whose private services and rules are seen; `everyone` sees only what is exported to all. */
  readonly namespace: string;
  /** Keys of the namespace's DestinationRules whose selectors choose the workloads, sorted; absent where none does. */
  readonly rules?: readonly string[];
}

/**
 * Who looks at the mesh's services and rules. Proxies that see the same are the same client, so that what is
 * computed for one serves all: a namespace for which nothing is special looks as `everyone` does.
 */
export interface Client extends Viewer {
  /** The Sidecar object that limits what is seen, as `namespace/name`; empty where none applies. */
  readonly sidecar: string;
  /** One of the Sidecar's egress listeners, by its place, where only what it lets in is seen; absent for all of them. */
  readonly listener?: number;
  /** Present where hosts beyond those that the Sidecar lets in are seen, too: it says only which are held from the start. */
  readonly open?: true;
}

/** A viewer that is no particular namespace: sees what is exported to all. No namespace can be called so. */
export const everyone = "*";

/** A client as a key: equal clients, equal keys. */
export function clientKey(client: Client): string {
  const { namespace, rules, sidecar, listener, open } = client;
  const chosen = rules ? [rules.join(",")] : [];
  return [namespace, sidecar, open ? "open" : (listener ?? ""), ...chosen].join("|");
}
