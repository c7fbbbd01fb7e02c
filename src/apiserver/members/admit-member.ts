import type { IncomingMessage } from "node:http";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Admitted } from "../admit.ts";
import { attributesOf } from "../authorization/attributes.ts";
import { authorOf, isEndless } from "../author.ts";
import type { Context } from "../context.ts";
import { ApiError } from "../status.ts";
import type { MemberView } from "./view.ts";

/** What describes the API itself, of which nothing is secret. */
const documents = /^\/(?:apis?(?:\/|$)|openapi\/|version\/?$|(?:healthz|livez|readyz)$|$)/;

/**
 * Lets in a request that a member's API server passes on, or not. Whom it is done as was settled there: headers of impersonation mean
 * nothing here.
 * @throws ApiError `Unauthorized`, `Forbidden`, `TooManyRequests`, `ServiceUnavailable`.
 */
export async function admitMember(
  { logger }: Context,
  view: MemberView,
  request: IncomingMessage,
  url: URL,
): Promise<Admitted> {
  const attributes = attributesOf(request, url.pathname, url.searchParams);
  const { user, proof } = proven(view, request, logger);
  using place = new DisposableStack();
  place.use(view.limits.enter(user, isEndless(attributes)));
  const open = attributes.kind === "path" && attributes.verb === "get" && documents.test(attributes.path);
  if (!open) await view.authorizer.require(user, attributes);
  const watch = isEndless(attributes) ? place.use(view.watches.add(user, proof, attributes)) : undefined;
  const kept = place.move();
  return { by: authorOf(request, user, attributes), ends: watch?.signal, [Symbol.dispose]: () => kept.dispose() };
}

function proven(
  view: MemberView,
  request: IncomingMessage,
  logger: Context["logger"],
): ReturnType<MemberView["prove"]> {
  try {
    return view.prove(request);
  } catch (error) {
    if (codeOf(error) !== "Unauthenticated") throw error;
    const { remoteAddress } = request.socket;
    logger.debug("request refused", { cluster: view.member.name, remoteAddress, reason: messageOf(error) });
    throw new ApiError("Unauthorized", "Unauthorized");
  }
}
