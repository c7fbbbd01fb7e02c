import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ExtAuthzGrpc, ExtAuthzHttp, ExtensionProvider } from "#api/istio/extension-provider.ts";
import { type GrpcService, GrpcServiceSchema } from "#proto/gen/envoy/config/core/v3/grpc_service_pb.js";
import { ApiVersion } from "#proto/gen/envoy/config/core/v3/config_source_pb.js";
import { HttpUriSchema } from "#proto/gen/envoy/config/core/v3/http_uri_pb.js";
import { type ExtAuthz, ExtAuthzSchema } from "#proto/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import {
  type ExtAuthz as NetworkExtAuthz,
  ExtAuthzSchema as NetworkExtAuthzSchema,
} from "#proto/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { type ListStringMatcher, ListStringMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";
import { StatusCode } from "#proto/gen/envoy/type/v3/http_status_pb.js";
import { protoDuration } from "../duration.ts";
import { metadataMatcher, textValue } from "../metadata-match.ts";
import { clusterName } from "../names.ts";
import { httpRbacName, networkRbacName } from "./names.ts";
import { textMatcher, valueMatcher } from "./values.ts";

/** What begins the names of rules that an external authorizer is asked about. */
export const externalPrefix = "istio-ext-authz";

/** What begins the names of metadata and statistics of such rules. */
export const externalStatPrefix = "istio_ext_authz_";

/** Envoy's filters that ask an external authorizer. */
export interface Authorizer {
  readonly http: ExtAuthz;
  /** Absent for one that is asked over HTTP, which connections that are not HTTP cannot be checked by. */
  readonly network?: NetworkExtAuthz;
}

/** A provider that can be asked, or why it cannot be. */
export type AuthorizerReading = { readonly authorizer: Authorizer } | { readonly problem: string };

/** Finds the host that a provider's service means. */
export type FindHost = (service: string) => { readonly host: string } | { readonly problem: string };

type Members = Exclude<MessageInitShape<typeof ExtAuthzSchema>, ExtAuthz>;

const fallbackTimeout = "600s";

/** Asks only about what the rules before have found, whose word stands in the metadata of the filter with this name. */
function enabledBy(filter: string) {
  const path = [`${externalStatPrefix}shadow_effective_policy_id`];
  return metadataMatcher(filter, path, textValue(textMatcher("prefix", externalPrefix)));
}

function headerList(names: readonly string[] = []): ListStringMatcher | undefined {
  if (names.length === 0) return undefined;
  return create(ListStringMatcherSchema, { patterns: names.map((name) => valueMatcher(name, true)) });
}

/** Members of the HTTP filter that both kinds of authorizers have. */
function commonMembers(provider: ExtAuthzHttp | ExtAuthzGrpc): Members {
  const { failOpen = false, clearRouteCache = false, statusOnError = "", includeRequestBodyInCheck: body } = provider;
  return {
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: failOpen,
    clearRouteCache,
    filterEnabledMetadata: enabledBy(httpRbacName),
    ...(statusOnError !== "" && { statusOnError: { code: Number(statusOnError) as StatusCode } }),
    ...(body && {
      withRequestBody: {
        maxRequestBytes: body.maxRequestBytes,
        allowPartialMessage: body.allowPartialMessage ?? false,
        packAsBytes: body.packAsBytes ?? false,
      },
    }),
  };
}

function overHttp(provider: ExtAuthzHttp, host: string): Authorizer {
  const { port, pathPrefix = "", timeout = fallbackTimeout, includeAdditionalHeadersInCheck: added = {} } = provider;
  const sent = headerList(provider.includeRequestHeadersInCheck) ?? headerList(provider.includeHeadersInCheck);
  const upstream = headerList(provider.headersToUpstreamOnAllow);
  const denied = headerList(provider.headersToDownstreamOnDeny);
  const allowed = headerList(provider.headersToDownstreamOnAllow);
  const headersToAdd = Object.entries(added)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ key, value }));
  const serverUri = create(HttpUriSchema, {
    uri: `http://${host}`,
    httpUpstreamType: { case: "cluster", value: clusterName("outbound", port, "", host) },
    timeout: protoDuration(timeout),
  });
  const http = create(ExtAuthzSchema, {
    ...commonMembers(provider),
    ...(sent && { allowedHeaders: sent }),
    services: {
      case: "httpService",
      value: {
        pathPrefix,
        serverUri,
        ...(headersToAdd.length > 0 && { authorizationRequest: { headersToAdd } }),
        ...((upstream ?? denied ?? allowed) && {
          authorizationResponse: {
            ...(upstream && { allowedUpstreamHeaders: upstream }),
            ...(denied && { allowedClientHeaders: denied }),
            ...(allowed && { allowedClientHeadersOnSuccess: allowed }),
          },
        }),
      },
    },
  });
  return { http };
}

function overGrpc(provider: ExtAuthzGrpc, host: string): Authorizer {
  const { port, timeout = fallbackTimeout, failOpen = false } = provider;
  const service: GrpcService = create(GrpcServiceSchema, {
    targetSpecifier: {
      case: "envoyGrpc",
      value: { clusterName: clusterName("outbound", port, "", host), authority: host },
    },
    timeout: protoDuration(timeout),
  });
  return {
    http: create(ExtAuthzSchema, { ...commonMembers(provider), services: { case: "grpcService", value: service } }),
    network: create(NetworkExtAuthzSchema, {
      statPrefix: "tcp.",
      failureModeAllow: failOpen,
      transportApiVersion: ApiVersion.V3,
      grpcService: service,
      filterEnabledMetadata: enabledBy(networkRbacName),
    }),
  };
}

const headerLists = [
  "includeRequestHeadersInCheck",
  "includeHeadersInCheck",
  "headersToUpstreamOnAllow",
  "headersToDownstreamOnDeny",
  "headersToDownstreamOnAllow",
] as const;

function memberProblem(provider: ExtAuthzHttp | ExtAuthzGrpc): string | undefined {
  const { port, statusOnError = "", includeRequestBodyInCheck: body } = provider;
  if (port < 1 || port > 65_535) return `its port ${port} is none`;
  if (statusOnError !== "" && !(/^\d{3}$/.test(statusOnError) && Number(statusOnError) in StatusCode)) {
    return `its statusOnError ${statusOnError} is no status of HTTP that Envoy knows`;
  }
  if (body && body.maxRequestBytes === 0) return "its includeRequestBodyInCheck.maxRequestBytes must be more than 0";
  return undefined;
}

function httpProblem(provider: ExtAuthzHttp): string | undefined {
  const { pathPrefix = "" } = provider;
  if (pathPrefix !== "" && !pathPrefix.startsWith("/")) return "its pathPrefix must begin with a slash";
  const wild = headerLists.find((name) => (provider[name] ?? []).includes("*"));
  return wild === undefined ? undefined : `its ${wild} cannot be * alone: name headers, or beginnings as x-*`;
}

/** The filters that ask a provider. */
export function readAuthorizer(provider: ExtensionProvider, find: FindHost): AuthorizerReading {
  const { envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc } = provider;
  const either = http ?? grpc;
  if (!either) return { problem: "it is neither envoyExtAuthzHttp nor envoyExtAuthzGrpc" };
  const problem = memberProblem(either) ?? (http && httpProblem(http));
  if (problem !== undefined) return { problem };
  const found = find(either.service);
  if ("problem" in found) return found;
  return { authorizer: http ? overHttp(http, found.host) : overGrpc(either, found.host) };
}
