import type { IncomingMessage } from "node:http";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Admitted } from "../admit.ts";
import { attributesOf, type Attributes } from "../authorization/attributes.ts";
import { authorOf, isEndless } from "../author.ts";
import { ApiError } from "../status.ts";
import type { User } from "../user.ts";
import type { MemberView } from "./view.ts";

/** What describes the API itself, of which nothing is secret. */
const documents = /^\/(?:apis?(?:\/|$)|openapi\/|version\/?$|(?:healthz|livez|readyz)$|$)/;

/**
 * Lets in a request that a member's API server passes on, or not. Whom it is done as was settled there: headers of impersonation mean
 * nothing here.
 * @throws ApiError `Unauthorized`, `Forbidden`, `TooManyRequests`, `ServiceUnavailable`.
 */
export async function admitMember(view: MemberView, request: IncomingMessage, url: URL): Promise<Admitted> {
  const attributes = attributesOf(request, url.pathname, url.searchParams);
  const { user, proof } = proven(view, request);
  using place = new DisposableStack();
  place.use(view.limits.enter(user, isEndless(attributes)));
  const open = attributes.kind === "path" && attributes.verb === "get" && documents.test(attributes.path);
  const blind = !open && !(await mayAsk(view, user, attributes));
  const watch = isEndless(attributes) ? place.use(view.watches.add(user, proof, attributes)) : undefined;
  const kept = place.move();
  return {
    by: authorOf(request, user, attributes),
    ends: watch?.signal,
    blind,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** Who Kubernetes' namespace controller is, with an account of its own or as part of the controller manager. */
const namespaceControllers: ReadonlySet<string> = new Set([
  "system:serviceaccount:kube-system:namespace-controller",
  "system:kube-controller-manager",
]);

/**
 * Whether somebody may do what they ask. The namespace controller, which keeps a namespace for as long as it is refused what it does to
 * clear it, is told that there is nothing instead: what it may not delete stays. While the cluster cannot be asked that is only so
 * after a while, and what it missed is made good later.
 * @throws ApiError `Forbidden`, `ServiceUnavailable` for others.
 */
async function mayAsk({ authorizer, missed }: MemberView, user: User, attributes: Attributes): Promise<boolean> {
  try {
    await authorizer.require(user, attributes);
    return true;
  } catch (error) {
    const namespace = clearedNamespace(user, attributes);
    if (namespace === undefined) throw error;
    if (codeOf(error) === "PermissionDenied") return false;
    if (codeOf(error) === "Unavailable" && missed.letsGo(namespace)) return false;
    throw error;
  }
}

/** The namespace that a cluster's namespace controller clears. */
function clearedNamespace({ name }: User, attributes: Attributes): string | undefined {
  if (!namespaceControllers.has(name) || attributes.kind !== "resource" || attributes.namespace === "")
    return undefined;
  return ["list", "deletecollection"].includes(attributes.verb) ? attributes.namespace : undefined;
}

function proven(view: MemberView, request: IncomingMessage): ReturnType<MemberView["prove"]> {
  try {
    return view.prove(request);
  } catch (error) {
    if (codeOf(error) !== "Unauthenticated") throw error;
    const { remoteAddress } = request.socket;
    const { name: cluster } = view.member;
    view.refusals.say("info", "request refused", { cluster, remoteAddress, reason: messageOf(error) });
    throw new ApiError("Unauthorized", "Unauthorized");
  }
}
