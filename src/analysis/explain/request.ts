/** A request as a program would send it. */
export interface ExplainedRequest {
  readonly method: string;
  readonly scheme: "http" | "https";
  /** As in the URL, without port. */
  readonly host: string;
  readonly port: number;
  /** With the query. */
  readonly path: string;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

const ports = { http: 80, https: 443 } as const;

/**
 * A request from a URL.
 * @param headers as `name: value`. A header `host` is what the request says, wherever it is sent.
 * @returns a text that says what is wrong, instead of a request.
 */
export function parseRequest(method: string, url: string, headers: readonly string[]): ExplainedRequest | string {
  const parsed = URL.parse(url);
  const scheme = parsed?.protocol.slice(0, -1);
  if (!parsed || (scheme !== "http" && scheme !== "https")) {
    return `"${url}" is no http or https URL; write it as http://reviews:9080/path`;
  }
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(method)) return `"${method}" is no HTTP method`;
  const named: [string, string][] = [];
  for (const header of headers) {
    const colon = header.indexOf(":", 1);
    if (colon < 0) return `"${header}" is no header; write it as "name: value"`;
    named.push([header.slice(0, colon).trim().toLowerCase(), header.slice(colon + 1).trim()]);
  }
  return {
    method: method.toUpperCase(),
    scheme,
    host: parsed.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: parsed.port === "" ? ports[scheme] : Number(parsed.port),
    path: `${parsed.pathname}${parsed.search}`,
    headers: Object.fromEntries(named),
  };
}

/** What the request's `Host` header says: its own, or that of the URL with a port that is not the scheme's. */
export function authority({ headers, scheme, host, port }: ExplainedRequest): string {
  return headers["host"] ?? headers[":authority"] ?? (port === ports[scheme] ? host : `${host}:${port}`);
}
