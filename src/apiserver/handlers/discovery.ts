import type { DiscoveryDocuments } from "../discovery/documents.ts";
import { encodingOf, notAcceptable, parseAccept, plainEncoding } from "../media.ts";
import { json, type Reply } from "../reply.ts";
import type { Call } from "./call.ts";
import { preparedReply } from "../prepared.ts";

const aggregatedVersions = new Set(["v2", "v2beta1"]);

/** The version of aggregated discovery that a client prefers, if it does. */
function aggregatedVersion(accept: string | undefined): string | undefined {
  for (const { type, parameters } of parseAccept(accept)) {
    const { as, g, v = "" } = parameters;
    if (encodingOf({ type, parameters }) !== "json") continue;
    if (as === undefined) return undefined;
    if (as === "APIGroupDiscoveryList" && g === "apidiscovery.k8s.io" && aggregatedVersions.has(v)) return v;
  }
  return undefined;
}

/** Answers the paths of discovery; undefined for any other path. */
export function handleDiscovery(call: Call, documents: DiscoveryDocuments): Reply | undefined {
  const [root, first, second, ...more] = call.pathname.slice(1).replace(/\/$/, "").split("/");
  if ((root !== "api" && root !== "apis") || more.length > 0) return undefined;
  const accept = call.request.headers.accept;
  const core = root === "api";
  const version = first === undefined ? aggregatedVersion(accept) : undefined;
  if (version !== undefined) {
    const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    return preparedReply(call, documents.aggregated(core, version), type);
  }
  const document = documentAt(documents, core, first, second);
  if (document === undefined) return undefined;
  const encoding = plainEncoding(accept);
  if (encoding === undefined) throw notAcceptable();
  return json(document, 200, encoding);
}

function documentAt(
  documents: DiscoveryDocuments,
  core: boolean,
  first: string | undefined,
  second: string | undefined,
): object | undefined {
  if (first === undefined) return core ? documents.coreVersions() : documents.groups();
  if (core) return second === undefined ? documents.resources("", first) : undefined;
  return second === undefined ? documents.group(first) : documents.resources(first, second);
}
