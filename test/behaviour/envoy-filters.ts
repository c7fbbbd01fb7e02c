/** Texts of EnvoyFilters and of what they put into configuration. */

/** The network filter that speaks HTTP. */
const manager = "envoy.filters.network.http_connection_manager";

const types = "type.googleapis.com/envoy.extensions.filters";

/** For whom an EnvoyFilter is. */
interface Selection {
  readonly namespace?: string;
  /** The app of the workloads; all of the namespace unless given. */
  readonly select?: string;
  readonly priority?: number;
  /** Names of the Gateways of the Gateway API that it is for. */
  readonly gateways?: readonly string[];
}

/** An EnvoyFilter of patches that are given as YAML. */
export function envoyFilter(
  name: string,
  patches: readonly string[],
  { namespace = "shop", select, priority = 0, gateways = [] }: Selection = {},
): string {
  const refs = gateways.map((gateway) => `{ group: gateway.networking.k8s.io, kind: Gateway, name: ${gateway} }`);
  const selector = select === undefined ? "" : `workloadSelector: { labels: { app: ${select} } }`;
  return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  ${selector}
  ${refs.length > 0 ? `targetRefs: [${refs.join(", ")}]` : ""}
  priority: ${priority}
  configPatches:
${patches.map((patch) => `    - ${patch.trim().replaceAll("\n", "\n      ")}`).join("\n")}`;
}

/**
 * A match of an HTTP filter by its name.
 * @param more what the listener must be besides.
 * @param chain what the filter chain must be besides.
 */
export function inRouter(filter: string, context: string, more = "", chain = ""): string {
  const found = `${chain} filter: { name: ${manager}, subFilter: { name: ${filter} } }`;
  return `{ context: ${context}, listener: { ${more} filterChain: { ${found} } } }`;
}

/** Where a Lua script goes, and what it does. */
interface Lua {
  readonly context: string;
  readonly header?: string;
  readonly operation?: string;
  /** Match of proxies. */
  readonly proxy?: string;
  /** Match of filter chains. */
  readonly chain?: string;
  /** In place of what adds the header. */
  readonly code?: string;
}

/** A patch that adds a Lua filter, which adds a value to a header of requests. */
export function lua(
  value: string,
  { context, header = "x-lua", operation = "INSERT_BEFORE", proxy, chain = "", code }: Lua,
): string {
  const script = code ?? `function envoy_on_request(handle) handle:headers():add('${header}', '${value}') end`;
  const match = inRouter("envoy.filters.http.router", context, "", chain).slice(1, -1);
  return `
applyTo: HTTP_FILTER
match: {${proxy === undefined ? "" : ` proxy: ${proxy},`}${match}}
patch:
  operation: ${operation}
  value:
    name: "lua-${value}"
    typed_config: { "@type": ${types}.http.lua.v3.Lua, default_source_code: { inline_string: "${script}" } }`;
}

/** A patch that lets few requests through a listener of a port in ten minutes. */
export function rateLimit(port: number, requests: number): string {
  const always = "{ default_value: { numerator: 100, denominator: HUNDRED } }";
  return `
applyTo: HTTP_FILTER
match: ${inRouter("envoy.filters.http.router", "SIDECAR_OUTBOUND", `portNumber: ${port},`)}
patch:
  operation: INSERT_BEFORE
  value:
    name: envoy.filters.http.local_ratelimit
    typed_config:
      "@type": ${types}.http.local_ratelimit.v3.LocalRateLimit
      stat_prefix: limited
      token_bucket: { max_tokens: ${requests}, tokens_per_fill: ${requests}, fill_interval: 600s }
      filter_enabled: ${always}
      filter_enforced: ${always}`;
}

/** A network filter that says a text and hangs up. */
export function staticAnswer(text: string): string {
  const type = `${types}.network.direct_response.v3.Config`;
  const config = `{ "@type": ${type}, response: { inline_string: ${text} } }`;
  return `{ name: envoy.filters.network.direct_response, typed_config: ${config} }`;
}

/** What a route that answers by itself says. */
export function textAnswer(text: string): string {
  return `direct_response: { status: 200, body: { inline_string: ${text} } }`;
}

/** A header that is added to requests. */
export function addition(header: string, value: string): string {
  return `request_headers_to_add: [{ header: { key: ${header}, value: "${value}" } }]`;
}
