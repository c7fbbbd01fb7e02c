/**
 * Who looks at the mesh's services and rules. Proxies that see the same are the same client, so that what is
 * computed for one serves all: a namespace for which nothing is special looks as `everyone` does.
 */
export interface Client {
  /** The namespace whose private services and rules are seen; `everyone` sees only what is exported to all. */
  readonly namespace: string;
  /** The Sidecar object that limits what is seen, as `namespace/name`; empty where none applies. */
  readonly sidecar: string;
}

/** A viewer that is no particular namespace: sees what is exported to all. No namespace can be called so. */
export const everyone = "*";

/** A client as a key: equal clients, equal keys. */
export function clientKey(client: Client): string {
  return `${client.namespace}|${client.sidecar}`;
}
