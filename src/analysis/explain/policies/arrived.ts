import type { ExplainContext } from "../context.ts";
import type { Connection } from "../filter-chains.ts";
import type { Call } from "./call.ts";
import type { SentHeaders } from "./sent.ts";

/** A call as the proxy that is asked about gets it: of its own program, or from outside, where nobody knows who calls. */
export function callOf({ view, proxy }: ExplainContext, sent: SentHeaders | undefined, connection: Connection): Call {
  const { address, port, transport, serverName } = connection;
  const outside = view.type === "router";
  const [, own = ""] = proxy.node.id.split("~");
  const caller = outside ? { needs: "the caller's address" } : own;
  return {
    headers: sent,
    identity: outside && transport === "tls" ? { needs: "the caller's certificate" } : "",
    address: caller,
    firstAddress: caller,
    to: { address: outside ? own : address, port },
    serverName,
    claims: undefined,
  };
}
