import { ApiError } from "./status.ts";

/** What a path of the resource API names. */
export interface ResourcePath {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in the URL. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  /** `status`, `scale`, `log`, ... */
  readonly subresource: string | undefined;
  /** What follows the subresource, still encoded: always something for `proxy`, and in groups that others serve; else empty. */
  readonly rest: string;
}

/** Subresources of namespaces: `/namespaces/NAME/status` names no resource in the namespace. */
const namespaceSubresources = new Set(["status", "finalize", "history"]);

/** One segment of a path, decoded. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ApiError("BadRequest", `the path has a wrong escape: ${segment}`);
  }
}

/**
 * Reads a path below `/api/VERSION/` or `/apis/GROUP/VERSION/`; undefined for any other path and for the group
 * version itself.
 */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const raw = pathname.slice(1).split("/");
  const prefix = raw[0] === "api" ? 2 : 3;
  if (raw[0] !== "api" && raw[0] !== "apis") return undefined;
  const [group = "", version] = (prefix === 2 ? ["", raw[1]] : raw.slice(1, 3)).map((part) => decode(part ?? ""));
  const below = raw.slice(prefix).map(decode);
  if (version === undefined || below.length === 0 || below[0] === "") return undefined;
  const [first, second, third] = below;
  const within =
    first === "namespaces" &&
    second !== undefined &&
    third !== undefined &&
    third !== "" &&
    !namespaceSubresources.has(third);
  const skipped = within ? 2 : 0;
  const [resource = "", name, subresource, ...more] = below.slice(skipped);
  const goesOn = subresource === "proxy" || more.length > 0;
  return {
    group,
    version,
    resource,
    namespace: within ? second : undefined,
    name: name === "" ? undefined : name,
    subresource: subresource === "" ? undefined : subresource,
    rest: goesOn ? `/${raw.slice(prefix + skipped + 3).join("/")}` : "",
  };
}
