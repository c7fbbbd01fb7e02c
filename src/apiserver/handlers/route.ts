import type { DiscoveryDocuments } from "../discovery/documents.ts";
import { parseResourcePath } from "../path.ts";
import { json, type Reply } from "../reply.ts";
import { methodNotAllowed, noSuchPath } from "../status.ts";
import { relayAggregated, type Aggregation } from "./aggregated.ts";
import type { Call } from "./call.ts";
import { handleDiscovery } from "./discovery.ts";
import { handleIssuer, issuerPaths } from "./issuer.ts";
import { handleHealth, type VersionInfo } from "./health.ts";
import type { OpenApiDocuments } from "./openapi.ts";
import { handleResource } from "./resources.ts";
import { handleReview } from "./reviews.ts";

/** What an endpoint serves beside its resources. */
export interface Routes {
  readonly discovery: DiscoveryDocuments;
  readonly openapi: OpenApiDocuments;
  readonly version: VersionInfo;
  readonly aggregated: readonly Aggregation[];
}

const documentPaths = ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];

/** Paths that are not resources; they are only read. */
function handleDocument(call: Call, routes: Routes): Reply | undefined {
  return (
    handleHealth(call, routes.version) ??
    handleDiscovery(call, routes.discovery) ??
    routes.openapi.handle(call) ??
    (call.pathname === "/"
      ? json({ paths: [...(call.context.tokens === undefined ? [] : issuerPaths), ...documentPaths] })
      : undefined)
  );
}

/** Finds who answers a request. @throws ApiError `NotFound`, `MethodNotAllowed`, and what the handlers throw. */
export async function route(call: Call, routes: Routes): Promise<Reply> {
  const document = handleDocument(call, routes);
  if (document !== undefined) {
    if (call.method !== "GET" && call.method !== "HEAD") throw methodNotAllowed();
    return document;
  }
  if (call.context.member === undefined) {
    const answered = await handleOwn(call, routes);
    if (answered !== undefined) return answered;
  }
  const path = parseResourcePath(call.pathname);
  if (path === undefined || (path.rest !== "" && path.subresource !== "proxy")) throw noSuchPath();
  return handleResource(call, path);
}

/** What only clients that call themselves are answered: issuers, reviews, and groups that other servers serve. */
async function handleOwn(call: Call, routes: Routes): Promise<Reply | undefined> {
  const issuer = await handleIssuer(call);
  if (issuer !== undefined) return issuer;
  const review = await handleReview(call);
  if (review !== undefined) return review;
  return relayAggregated(call, routes.aggregated);
}
