import type { TSchema } from "typebox";
import { boolean, choice, int32, list, object, string, type Value } from "../schema.ts";
import { backendReference, headerName, LocalObjectReference, names, port, preciseHostname } from "./names.ts";

const headers = (description: string) =>
  list(
    description,
    object(
      "A header with a value.",
      { name: headerName, value: string("The value.", { minLength: 1, maxLength: 4096 }) },
      {},
    ),
    { maxItems: 16 },
  );

const HeaderFilter = object(
  "Changes of headers.",
  {},
  {
    set: headers("Headers that get a value in place of the one they have."),
    add: headers("Headers that get a value beside those they have."),
    remove: names("Headers that go.", "A header's name.", 16),
  },
);
export type HeaderFilter = Value<typeof HeaderFilter>;

const RequestMirror = object(
  "A backend that gets copies of requests; its answers are dropped.",
  {
    backendRef: object("The backend.", backendReference.required, backendReference.optional),
  },
  {
    percent: int32("Share of requests that is copied, of 100. All unless set.", { minimum: 0, maximum: 100 }),
    fraction: object(
      "Share of requests that is copied.",
      {
        numerator: int32("So many.", { minimum: 0 }),
        denominator: int32("Of so many.", { default: 100, minimum: 1 }),
      },
      {},
    ),
  },
  { oneOf: [["percent", "fraction"]] },
);
export type RequestMirror = Value<typeof RequestMirror>;

const PathModifier = object(
  "How the path changes.",
  { type: choice("What is replaced.", ["ReplaceFullPath", "ReplacePrefixMatch"]) },
  {
    replaceFullPath: string("The new path, for ReplaceFullPath.", { maxLength: 1024 }),
    replacePrefixMatch: string("What takes the place of the prefix that matched.", { maxLength: 1024 }),
  },
);
export type PathModifier = Value<typeof PathModifier>;

const RequestRedirect = object(
  "A redirect that the client gets.",
  { statusCode: int32("301, 302, 303, 307 or 308.", { default: 302, minimum: 301, maximum: 308 }) },
  {
    scheme: choice("The new scheme. The request's unless set.", ["http", "https"]),
    hostname: preciseHostname("The new host. The request's unless set."),
    path: PathModifier,
    port,
  },
);
export type RequestRedirect = Value<typeof RequestRedirect>;

const URLRewrite = object(
  "Changes of the request on its way to the backend.",
  {},
  { hostname: preciseHostname("The new host."), path: PathModifier },
);

const CORS = object(
  "Which web pages of elsewhere may make requests.",
  { maxAge: int32("Seconds that a browser may remember the answer.", { default: 5, minimum: 1 }) },
  {
    allowOrigins: list(
      "Origins of the pages.",
      string("An origin, such as https://*.example.com, or * for all.", {
        minLength: 1,
        maxLength: 253,
        pattern: "(^\\*$)|(^(http(s)?):\\/\\/(((\\*\\.)?([a-zA-Z0-9\\-]+\\.)*[a-zA-Z0-9-]+|\\*)(:([0-9]{1,5}))?)$)",
      }),
      { maxItems: 64 },
    ),
    allowCredentials: boolean("Whether requests may carry credentials."),
    allowMethods: list(
      "Methods that are allowed.",
      choice("A method, or * for all.", [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "CONNECT",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "*",
      ]),
      { maxItems: 9 },
    ),
    allowHeaders: list("Headers that are allowed.", headerName, { maxItems: 64 }),
    exposeHeaders: list("Headers of answers that pages may read.", headerName, { maxItems: 64 }),
  },
);
export type CORS = Value<typeof CORS>;

/** Which member of a filter goes with each type. */
export const filterMembers = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  CORS: "cors",
  ExtensionRef: "extensionRef",
} as const;

const commonMembers = {
  requestHeaderModifier: HeaderFilter,
  responseHeaderModifier: HeaderFilter,
  requestMirror: RequestMirror,
  extensionRef: LocalObjectReference,
};

function filterList<const Types extends readonly string[], Members extends Readonly<Record<string, TSchema>>>(
  types: Types,
  members: Members,
) {
  const filter = object(
    "What is done with requests or answers.",
    { type: choice("What sort of filter.", types) },
    { ...commonMembers, ...members },
  );
  return list("What is done with requests or answers.", filter, { maxItems: 16 });
}

/** Filters of HTTPRoutes. */
export const httpFilters = filterList(
  [
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "URLRewrite",
    "ExtensionRef",
    "CORS",
  ],
  { requestRedirect: RequestRedirect, urlRewrite: URLRewrite, cors: CORS },
);

/** Filters of GRPCRoutes. */
export const grpcFilters = filterList(
  ["ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"],
  {},
);

/** A filter of any route. */
export type Filter = Value<typeof httpFilters>[number];
