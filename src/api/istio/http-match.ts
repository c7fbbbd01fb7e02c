import { boolean, definition, described, list, map, object, string, uint32, type Value } from "../schema.ts";
import { istioName } from "./common.ts";

export const StringMatch = definition(
  istioName("StringMatch"),
  object(
    "How a text is matched: one of exact, prefix and regex.",
    {},
    {
      exact: string("The whole text, in the same case."),
      prefix: string("How the text begins, in the same case."),
      regex: string("A regular expression of RE2 that the whole text must match."),
    },
    { oneOf: [["exact", "prefix", "regex"]] },
  ),
);
export type StringMatch = Value<typeof StringMatch>;

const match = (description: string): typeof StringMatch => described(description, StringMatch);

const headerMatch = match("How the header's value is matched; an empty object asks only that the header is there.");

export const HTTPMatchRequest = definition(
  istioName("HTTPMatchRequest"),
  object(
    "Conditions on a request, all of which must hold.",
    {},
    {
      name: string("A name of the match, added to the route's name in access logs."),
      uri: match("The request's path."),
      scheme: match("The request's scheme, http or https."),
      method: match("The request's method."),
      authority: match("The request's authority: the Host header."),
      headers: map("Headers that the request must have, by name in lower case.", headerMatch),
      withoutHeaders: map("Headers that the request must not have, by name in lower case.", headerMatch),
      queryParams: map(
        "Query parameters that the request must have.",
        match("How the parameter's value is matched; an empty object asks only that the parameter is there."),
      ),
      ignoreUriCase: boolean("Match the path in any case; only for exact and prefix."),
      port: uint32("The port that the request is for."),
      sourceLabels: map("Labels that the calling workload must have.", string("The label's value.")),
      sourceNamespace: string("The namespace that the calling workload must be in."),
      gateways: list(
        "Gateways that the match is for, instead of the rule's own list.",
        string("A gateway, namespace/name, or the word mesh for all sidecars."),
      ),
      statPrefix: string("Prefix of the statistics that Envoy keeps for this route."),
    },
  ),
);
export type HTTPMatchRequest = Value<typeof HTTPMatchRequest>;
