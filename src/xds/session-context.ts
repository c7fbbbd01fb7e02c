import type { WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { SparingLog } from "#base/sparing-log.ts";
import type { SendBudget } from "./budget.ts";
import type { ProxyClass } from "./classes.ts";
import type { HostScopes } from "./host-scopes.ts";
import type { Message } from "./message.ts";
import type { OwedStore } from "./owed.ts";
import type { Demand, ProxyNode, VirtualHostUse } from "./port.ts";
import type { Pushes } from "./pushes.ts";
import type { Readable, RestraintContext } from "./restraint.ts";
import type { Rounds } from "./rounds.ts";
import type { Session } from "./session.ts";

/** The stream under a session. */
export interface Transport extends Readable {
  /** Sends responses; `taken` is called once the peer's flow control let all of them through. */
  send(messages: readonly Message[], taken: () => void): void;
  /** Ends the stream, with a status when something is wrong. Nothing is sent afterwards. */
  end(reason?: WeftError): void;
  /** Ends the stream at once, with what was sent and not taken. */
  abort(): void;
  /** Has the peer make its next call on another connection. */
  retire(): void;
}

/** What sessions share. */
export interface SessionContext extends RestraintContext<Session> {
  readonly pushes: Pushes;
  readonly logger: Logger;
  /** Told of streams that were ended: whoever opens them may do so again and again. */
  readonly ended: SparingLog;
  readonly budget: SendBudget;
  /** Finds the class of a proxy and enters the session in it. */
  readonly join: (session: Session, node: ProxyNode, virtualHosts: VirtualHostUse) => ProxyClass;
  readonly hostScopes: HostScopes;
  readonly demand: Demand | undefined;
  /** The session ended. */
  readonly left: (session: Session) => void;
  readonly owed: OwedStore;
  /** The session has something to send at the next flush. */
  readonly due: (session: Session) => void;
  readonly rounds: Rounds<Session>;
  /** Messages went out. */
  readonly sent: (messages: readonly Message[]) => void;
  /** What status tells of the session became other. */
  readonly changed: () => void;
}
