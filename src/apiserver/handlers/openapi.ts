import { createHash } from "node:crypto";
import { apiVersionOf } from "#api/meta.ts";
import { openApiV2, openApiV3 } from "#api/openapi.ts";
import { parseAccept } from "../media.ts";
import { json, type Reply } from "../reply.ts";
import type { ServedKinds } from "../served-kinds.ts";
import { ApiError } from "../status.ts";
import type { Call } from "./call.ts";

interface Prepared {
  readonly text: string;
  readonly hash: string;
}

function prepare(document: unknown): Prepared {
  const text = JSON.stringify(document);
  return { text, hash: createHash("sha256").update(text).digest("hex").toUpperCase() };
}

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
    return document === undefined ? undefined : reply(call, document);
  }

  #version2(call: Call): Reply {
    const asked = parseAccept(call.request.headers.accept);
    if (!asked.some(({ type }) => type === "*/*" || type === "application/*" || type === "application/json")) {
      throw new ApiError(
        "NotAcceptable",
        "only the following media types are accepted: application/json; /openapi/v3 has the same content",
      );
    }
    return reply(
      call,
      this.#get("v2", () => openApiV2(this.#kinds.all)),
    );
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

function reply(call: Call, { text, hash }: Prepared): Reply {
  const etag = `"${hash}"`;
  const headers = { Etag: etag, Vary: "Accept" };
  if (call.request.headers["if-none-match"] === etag) {
    return { kind: "text", code: 304, text: "", type: "application/json", headers };
  }
  return { kind: "text", code: 200, text, type: "application/json", headers };
}
