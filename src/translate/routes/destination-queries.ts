import type { Engine } from "#incremental/engine.ts";
import { type Client, clientKey } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import type { Destinations, DestinationService } from "./destination.ts";

/** What routes ask of the hosts they point to, as a client sees them. */
export type DestinationQueries = (client: Client) => Destinations;

/** Declares the queries about hosts that routes point to. */
export function destinationQueries(engine: Engine, model: Model): DestinationQueries {
  const destinationService = engine.query<
    { readonly client: Client; readonly host: string },
    DestinationService | undefined
  >({
    name: "destination-service",
    key: ({ client, host }) => `${clientKey(client)}|${host}`,
    compute: ({ client, host }) => {
      const key = model.clients.serviceForHost.get({ client, host });
      const service = key === undefined ? undefined : model.services.service.get(key);
      if (!service) return undefined;
      const aliasOf = model.services.aliasOf.get(host);
      return { ports: service.ports.map((port) => port.number), ...(aliasOf !== undefined && { aliasOf }) };
    },
  });

  return (client) => ({
    service: (host) => destinationService.get({ client, host }),
    rule: (host) => {
      const service = model.clients.serviceForHost.get({ client, host });
      return service === undefined ? undefined : model.rules.rule({ viewer: client, service })?.spec;
    },
  });
}
