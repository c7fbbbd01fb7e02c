import type { IncomingMessage } from "node:http";
import { attributesOf } from "./authorization/attributes.ts";
import { impersonated } from "./authorization/impersonation.ts";
import { authorOf, isEndless } from "./author.ts";
import { guardAgainstBrowsers } from "./browser-guard.ts";
import type { Context } from "./context.ts";
import { admitMember } from "./members/admit-member.ts";
import { anonymous, localAdministrator, type Author } from "./user.ts";

/** A request that may be done. */
export interface Admitted extends Disposable {
  readonly by: Author;
  /** Aborts when a request without an end may not go on. */
  readonly ends: AbortSignal | undefined;
  /** It is answered as though nothing were there, and does nothing. */
  readonly blind?: boolean;
}

/**
 * Lets a request in, or not: who makes it is found out, whom it is done as, and whether that user may do it. Where nobody is
 * asked, whoever reaches the endpoint may do everything, and listeners see to it that only this machine's owner does.
 * @param local it came in over the endpoint's Unix socket, without TLS.
 * @throws ApiError `Unauthorized`, `Forbidden`, `TooManyRequests`.
 */
export async function admit(context: Context, request: IncomingMessage, url: URL, local: boolean): Promise<Admitted> {
  const { access, member } = context;
  if (member !== undefined) return admitMember(member, request, url);
  const attributes = attributesOf(request, url.pathname, url.searchParams);
  if (access === undefined) {
    if (!local) guardAgainstBrowsers(request);
    const user = local ? localAdministrator : anonymous;
    return { by: authorOf(request, user, attributes), ends: undefined, [Symbol.dispose]: () => undefined };
  }
  const { authenticator, authorizer, watches, limits } = access;
  const { user: shown, proof } = await authenticator.authenticate(request, local);
  using place = new DisposableStack();
  // The limit is the one whose credential it is: who acts for many others has one allowance.
  place.use(limits.enter(shown, isEndless(attributes)));
  const user = await impersonated(request, shown, authorizer);
  await authorizer.require(user, attributes);
  const watch = isEndless(attributes) ? place.use(watches.add(user, proof, attributes)) : undefined;
  const kept = place.move();
  return {
    by: { ...authorOf(request, user, attributes), ...(user !== shown && { impersonator: shown }) },
    ends: watch?.signal,
    [Symbol.dispose]: () => kept.dispose(),
  };
}
