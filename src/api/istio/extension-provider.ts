import { boolean, described, list, map, object, positiveDuration, string, uint32, type Value } from "../schema.ts";

const RequestBody = object(
  "How much of a request's body the authorizer is sent. None unless set.",
  { maxRequestBytes: uint32("Bytes that are held and sent at the most; of a longer body see allowPartialMessage.") },
  {
    allowPartialMessage: boolean("Send the beginning of a longer body. The request is answered 413 unless set."),
    packAsBytes: boolean("Send the body as bytes, not as UTF-8. Over gRPC only."),
  },
);

/** Members that both kinds of authorizers have. */
const common = {
  timeout: positiveDuration("How long an answer may take. 600s unless set."),
  failOpen: boolean("Let requests pass while the authorizer cannot be asked."),
  clearRouteCache: boolean("Choose the route again after the authorizer's answer, by the headers that it has changed."),
  statusOnError: string("The status of a request for which the authorizer could not be asked. 403 unless set."),
  includeRequestBodyInCheck: RequestBody,
};

const where = {
  service: string("The authorizer's host, which the registry knows: HOST, or NAMESPACE/HOST."),
  port: uint32("The port of that service."),
};

const headers = (description: string) => list(description, string("A header's name, or name* or *name."));

const ExtAuthzHttp = object("An authorizer that is asked over HTTP.", where, {
  ...common,
  pathPrefix: string("What is put before the path of each check request; it begins with a slash."),
  includeHeadersInCheck: headers("The former name of includeRequestHeadersInCheck."),
  includeRequestHeadersInCheck: headers("Headers of the request that the authorizer is sent too."),
  includeAdditionalHeadersInCheck: map(
    "Headers that the authorizer is sent as well, in place of the request's.",
    string("A value."),
  ),
  headersToUpstreamOnAllow: headers("Headers of the authorizer's answer that the workload gets."),
  headersToDownstreamOnDeny: headers("Headers of the authorizer's answer that a refused caller gets."),
  headersToDownstreamOnAllow: headers("Headers of the authorizer's answer that a caller gets who was let in."),
});

const ExtAuthzGrpc = object("An authorizer that is asked over gRPC, as Envoy's external authorization has it.", where, {
  ...common,
});

/** Istio's `MeshConfig.ExtensionProvider`, of those that authorize; of others only the name. */
export const ExtensionProvider = object(
  "Something outside of the mesh's proxies that they ask, by a name of its own.",
  { name: string("Its name, by which policies mean it.", { minLength: 1 }) },
  {
    envoyExtAuthzHttp: described("An authorizer that is asked over HTTP.", ExtAuthzHttp),
    envoyExtAuthzGrpc: described("An authorizer that is asked over gRPC.", ExtAuthzGrpc),
  },
  { oneOf: [["envoyExtAuthzHttp", "envoyExtAuthzGrpc"]] },
);
export type ExtensionProvider = Value<typeof ExtensionProvider>;
/** What is said of an authorizer that is asked over HTTP. */
export type ExtAuthzHttp = NonNullable<ExtensionProvider["envoyExtAuthzHttp"]>;
/** What is said of an authorizer that is asked over gRPC. */
export type ExtAuthzGrpc = NonNullable<ExtensionProvider["envoyExtAuthzGrpc"]>;
