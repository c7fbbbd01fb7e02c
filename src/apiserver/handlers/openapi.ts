import { apiVersionOf } from "#api/meta.ts";
import { openApiV2, openApiV3 } from "#api/openapi.ts";
import { parseAccept } from "../media.ts";
import { json, type Reply } from "../reply.ts";
import type { ServedKinds } from "../served-kinds.ts";
import { ApiError } from "../status.ts";
import type { Call } from "./call.ts";
import { prepare, preparedReply, type Prepared } from "../prepared.ts";

/** Milliseconds for which a document at an address with its hash may be kept. */
const yearMs = 365 * 24 * 3_600_000;

/** The OpenAPI documents of an endpoint, each made when it is first asked for. */
export class OpenApiDocuments {
  readonly #kinds: ServedKinds;
  readonly #made = new Map<string, Prepared>();

  constructor(kinds: ServedKinds) {
    this.#kinds = kinds;
  }

  /** Answers `/openapi/v2` and what is below `/openapi/v3`; undefined for any other path. */
  handle(call: Call): Reply | undefined {
    const { pathname } = call;
    if (pathname === "/openapi/v2") return this.#version2(call);
    if (pathname === "/openapi/v3" || pathname === "/openapi/v3/") return json({ paths: this.#index() });
    const path = /^\/openapi\/v3\/(api\/[^/]+|apis\/[^/]+\/[^/]+)$/.exec(pathname)?.[1];
    const document = path === undefined ? undefined : this.#version3(path);
    if (document === undefined) return undefined;
    expectJson(call);
    return versionedReply(call, document);
  }

  #version2(call: Call): Reply {
    expectJson(call);
    const document = this.#get("v2", () => openApiV2(this.#kinds.all));
    return preparedReply(call, document, "application/json");
  }

  #paths(): ReadonlyMap<string, string> {
    return new Map(
      this.#kinds.groups.flatMap(({ name, versions }) =>
        versions.map(({ version }): [string, string] => [
          name === "" ? `api/${version}` : `apis/${name}/${version}`,
          apiVersionOf(name, version),
        ]),
      ),
    );
  }

  #version3(path: string): Prepared | undefined {
    const groupVersion = this.#paths().get(path);
    if (groupVersion === undefined) return undefined;
    return this.#get(path, () => openApiV3(groupVersion, this.#kinds.all));
  }

  /** Each document's address has its hash, so that clients may keep it as long as it is the same. */
  #index(): object {
    return Object.fromEntries(
      [...this.#paths().keys()].map((path) => [
        path,
        { serverRelativeURL: `/openapi/v3/${path}?hash=${this.#version3(path)?.hash ?? ""}` },
      ]),
    );
  }

  #get(name: string, make: () => unknown): Prepared {
    let made = this.#made.get(name);
    if (made === undefined) {
      made = prepare(make());
      this.#made.set(name, made);
    }
    return made;
  }
}

/** Documents are JSON: who takes only protobuf is told so. @throws ApiError `NotAcceptable`. */
function expectJson({ request }: Call): void {
  const taken = new Set(["*/*", "application/*", "application/json"]);
  if (parseAccept(request.headers.accept).some(({ type }) => taken.has(type))) return;
  throw new ApiError("NotAcceptable", "only the following media types are accepted: application/json");
}

/** A document asked for by its hash never changes; by another hash it is somewhere else now. */
function versionedReply(call: Call, document: Prepared): Reply {
  const type = "application/json";
  const hash = call.query.get("hash") ?? "";
  if (hash === "") return preparedReply(call, document, type);
  if (hash !== document.hash) {
    const headers = { Location: `${call.pathname}?hash=${document.hash}` };
    return { kind: "text", code: 301, text: "", type, headers };
  }
  const expires = new Date(call.context.clock.now() + yearMs).toUTCString();
  return preparedReply(call, document, type, { "Cache-Control": "public, immutable", Expires: expires });
}
