import type { IncomingMessage } from "node:http";
import type { Attributes } from "./authorization/attributes.ts";
import type { Author, User } from "./user.ts";

/** Subresources whose answers may have no end. */
const endless: ReadonlySet<string> = new Set(["log", "proxy"]);

/** The longest that a client's name of itself is kept. */
const maxAgentLength = 128;

/** Who makes a request, and how. */
export function authorOf(request: IncomingMessage, user: User, attributes: Attributes): Author {
  const { verb } = attributes;
  const subresource = attributes.kind === "resource" ? attributes.subresource : "";
  const agent = (request.headers["user-agent"] ?? "").split(" ")[0]?.slice(0, maxAgentLength) ?? "";
  return { user, agent, verb: subresource === "" ? verb : `${verb} ${subresource}` };
}

/** Whether the answer to a request may have no end. */
export function isEndless(attributes: Attributes): boolean {
  return attributes.kind === "resource" && (attributes.verb === "watch" || endless.has(attributes.subresource));
}
