import type { Truth, Unknown } from "./truth.ts";

/** Claims of a token by their names, as Envoy has them in a request's metadata. */
export type Claims = Readonly<Record<string, unknown>>;

/** Something that may not be known here. */
export type Maybe<T> = T | Unknown;

/** A request, or a connection, as policies of the proxy that gets it see it. */
export interface Call {
  /** Headers with pseudo headers, by names in lower case; undefined for a connection whose bytes are not looked at. */
  readonly headers: ReadonlyMap<string, Maybe<string>> | undefined;
  /** The SPIFFE identity of the caller's certificate; empty without one. */
  readonly identity: Maybe<string>;
  /** The address of the connection's other end, and that of who is said to have called first. */
  readonly address: Maybe<string>;
  readonly firstAddress: Maybe<string>;
  /** Where the connection goes, as the proxy sees it. */
  readonly to: { readonly address: string; readonly port: number };
  /** The name of the TLS greeting; empty without one. */
  readonly serverName: string;
  /** What its token says; undefined without one that is good. */
  readonly claims: Maybe<Claims> | undefined;
}

/** Whether a value is one that is not known here. */
export function isUnknown(value: unknown): value is Unknown {
  return typeof value === "object" && value !== null && "needs" in value;
}

/** What holds of a value, where it is known. */
export function holdsOf<T extends string>(value: Maybe<T>, holds: (known: T) => boolean): Truth {
  return isUnknown(value) ? value : holds(value);
}

/** Headers that proxies add by themselves. */
const added = /^(?:x-envoy-|x-b3-|x-request-id$|x-forwarded-|traceparent$|tracestate$|baggage$)/;

/** A header of a call; undefined where there is none. */
export function headerOf({ headers }: Call, name: string): Maybe<string> | undefined {
  const known = headers?.get(name);
  if (known !== undefined) return known;
  return added.test(name) ? { needs: `the header ${name}, which proxies add` } : undefined;
}

/** The path of a request without query, as policies match it; empty for a connection. */
export function pathOf(call: Call): Maybe<string> {
  const path = call.headers?.get(":path") ?? "";
  return isUnknown(path) ? path : path.replace(/[?#].*$/s, "");
}
