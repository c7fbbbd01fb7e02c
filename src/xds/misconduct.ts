import type { WeftError } from "#base/errors.ts";
import { readable } from "#base/readable.ts";
import { Misconduct } from "./conduct.ts";
import type { XdsLimits } from "./limits.ts";

/** Characters of what a peer said that are repeated to people. */
const mostShown = 300;

/** What a peer said, as much of it as people need. */
export function shortened(text: string): string {
  return readable(text.length > mostShown ? `${text.slice(0, mostShown)}…` : text);
}

/** Characters of a node id, with those of a Pod's name, a namespace and a domain well within it. */
const longestId = 1024;

/** Whether a node id can be shown to people, and told from others. */
export function isPlain(id: string): boolean {
  return id.length <= longestId && /^\S+$/.test(id) && readable(id) === id;
}

/** A proxy calls itself what no proxy is called. */
export function oddNodeId(): Misconduct {
  const what = `has a node id that is empty, longer than ${longestId} characters, or not plain text; it should be type~address~name.namespace~domain`;
  return new Misconduct("ProxyInvalidNode", "InvalidArgument", what);
}

/** A peer takes nothing of what it is sent. */
export function neverReads(): Misconduct {
  const advice = "it keeps its last configuration. Look whether it hangs, and at the network between";
  return new Misconduct(
    "ProxyNeverReads",
    "Unavailable",
    `takes nothing of what it is sent, and was disconnected; ${advice}`,
  );
}

/** A proxy takes so little that what it holds is not known any more. */
export function fallsBehind(): Misconduct {
  const what = "fell too far behind, and gets the difference when it reconnects; look whether it has too little CPU";
  return new Misconduct("ProxyNeverReads", "Unavailable", what);
}

/** A stream was opened, and nothing was said on it. */
export function saysNothing({ introductionMs }: XdsLimits): Misconduct {
  const what = `opened a stream and did not say whose it is within ${introductionMs} ms; find out what connects`;
  return new Misconduct("ProxySaysNothing", "DeadlineExceeded", what);
}

/** A peer began a long request and did not end it. */
export function unfinished(bytes: number): Misconduct {
  const what = `sent ${bytes} bytes of a request and not its end, while too many did; find out what speaks for it`;
  return new Misconduct("ProxyAsksTooMuch", "ResourceExhausted", what);
}

/** A peer sends what cannot be read as messages: a fault that is not of the peer stays what it is. */
export function unreadable(fault: WeftError): WeftError {
  const { code, message } = fault;
  if (code === "ResourceExhausted") {
    return new Misconduct("ProxyAsksTooMuch", code, `${message}. Find out what speaks for it`);
  }
  return code === "Unsupported" ? new Misconduct("ProxyInvalidRequest", code, message) : fault;
}

/** A proxy asks for what is not there. */
export function tooManyUnknown(most: number): Misconduct {
  const what = `asks for more than ${most} names of one type of which there is nothing; restart it if it is a sidecar, or find out what speaks for it`;
  return new Misconduct("ProxyAsksTooMuch", "ResourceExhausted", what);
}

const madeUp = "find out who opens it and makes up node ids";

/** More proxies than there can be are connected over one address. */
export function tooManyNodes(address: string, { nodesPerAddress }: XdsLimits): Misconduct {
  const what = `is one proxy more than the ${nodesPerAddress} that may be connected over ${address}; ${madeUp}`;
  return new Misconduct("ProxyClaimsMany", "ResourceExhausted", what);
}

/** What is said when more proxies than can be come over one address. */
export function tooManyNewcomers(address: string, { newNodesPerSecond, newNodeBurst }: XdsLimits): string {
  return `is one of more than ${newNodeBurst} new proxies, and ${newNodesPerSecond} a second, over ${address}: new ones are served later; ${madeUp}`;
}

/** All proxies ask for too much together, and this one for the most. */
export function tooManyInAll({ namesInAll }: XdsLimits): Misconduct {
  const what = `asks for the most of more than ${namesInAll} names that all proxies ask for together, and was disconnected; limit what its workload sees with a Sidecar resource, or find out what speaks for it`;
  return new Misconduct("ProxyAsksTooMuch", "ResourceExhausted", what);
}

/** A proxy says in the middle of its stream that it is another. */
export function changesNode(id: string): Misconduct {
  const what = `said in the middle of its stream that it is ${shortened(id)}, and was disconnected; a stream is for one proxy`;
  return new Misconduct("ProxyChangesNode", "InvalidArgument", what);
}

const apart = "see that no two workloads say that they are this one";

/** A proxy has more streams than one can need. */
export function tooManyStreams({ streamsPerProxy }: XdsLimits): Misconduct {
  const what = `has more than ${streamsPerProxy} streams, of which the oldest was ended; ${apart}`;
  return new Misconduct("ProxyDuplicated", "ResourceExhausted", what);
}

/** What is said of a proxy with several streams that last. */
export function lastingTwins(streams: number, { twinMs }: XdsLimits): string {
  return `has had ${streams} streams side by side for more than ${Math.round(twinMs / 60_000)} minutes, longer than a restart takes; ${apart}`;
}

/** What is said of a proxy that answers what it was not sent. */
export const foreignAnswer =
  "answers responses that were not sent on its stream; such answers are passed over. Find out what speaks for it";

/** What is said of a peer whose first request does not say who it is. */
export const namelessStream = "began a stream without saying whose it is; find out what connects";
