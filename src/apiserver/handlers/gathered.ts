/** What several servers tell of one group, told as one. */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Reply } from "../reply.ts";
import { ApiError } from "../status.ts";
import type { Call } from "./call.ts";

/** One of several servers. */
export interface Teller {
  /** What it is called where it cannot be reached. */
  readonly name: string;
  /** Where it is, for Node's `request`; with TLS where `ca` is there. */
  readonly at: Pick<RequestOptions, "socketPath" | "host" | "port"> & {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
  };
}

/** What one of them answered. */
export interface Answer {
  readonly teller: Teller;
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

/** Milliseconds in which a server must have answered, and bytes of an answer. */
const answerMs = 15_000;
const mostBytes = 128 * 1024 * 1024;

async function whole(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > mostBytes) throw new WeftError("ResourceExhausted", `the answer is longer than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What servers are asked. */
export interface Question {
  readonly path: string;
  readonly accept: string | undefined;
  readonly signal: AbortSignal;
}

/** Asks one server. @throws Error when it cannot be reached, or does not answer in time. */
async function ask(teller: Teller, { path, accept, signal }: Question): Promise<Answer> {
  const options = {
    ...teller.at,
    host: teller.at.host ?? "localhost",
    method: "GET",
    path,
    headers: accept === undefined ? {} : { accept },
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    agent: false,
  };
  const request = teller.at.ca === undefined ? httpRequest : httpsRequest;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(options, resolve).once("error", reject).end();
  });
  const { statusCode: status = 502, headers } = response;
  return { teller, status, type: headers["content-type"] ?? "application/json", body: await whole(response) };
}

/** Parts of a list, or of a table, that are told one after the other. */
interface Listed {
  readonly items?: readonly Named[];
  readonly rows?: readonly Named[];
}

interface Named {
  readonly metadata?: { readonly namespace?: string; readonly name?: string };
  readonly object?: Named;
}

/** What two servers both tell of is told once: a proxy that has just moved from one to the other. */
function distinct(all: readonly Named[]): readonly Named[] {
  const byName = new Map<string, Named>();
  for (const each of all) {
    const { namespace = "", name = "" } = (each.object ?? each).metadata ?? {};
    byName.set(`${namespace}/${name}`, each);
  }
  return [...byName.values()];
}

function merged(answers: readonly Answer[]): object | undefined {
  if (!answers.every(({ type }) => type.includes("json"))) return undefined;
  const lists = answers.map(({ body }) => JSON.parse(body.toString("utf8")) as Listed);
  const [first] = lists;
  if (first?.items) return { ...first, items: distinct(lists.flatMap(({ items = [] }) => items)) };
  if (first?.rows) return { ...first, rows: distinct(lists.flatMap(({ rows = [] }) => rows)) };
  return undefined;
}

/** What several servers answered. */
export interface Answers {
  readonly all: readonly Answer[];
  /** Those that are no failures. */
  readonly good: readonly Answer[];
  /** Why others did not answer. */
  readonly problems: readonly string[];
}

/** Asks all servers. */
export async function askAll(tellers: readonly Teller[], question: Question): Promise<Answers> {
  const asked = await Promise.allSettled(tellers.map(async (teller) => ask(teller, question)));
  const all = asked.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const problems = asked.flatMap((each, at) =>
    each.status === "rejected" ? [`${tellers[at]?.name} cannot be reached: ${messageOf(each.reason)}`] : [],
  );
  return { all, good: all.filter(({ status }) => status < 400), problems };
}

/** Nobody answered. */
export function unreachable(problems: readonly string[]): ApiError {
  const what = problems.length === 0 ? "no control plane of the mesh serves" : problems.join("; ");
  return new ApiError("ServiceUnavailable", `error trying to reach service: ${what}`);
}

/**
 * Asks all servers, and tells what they tell: lists and tables as one, and of single objects the answer of who has it.
 * @throws ApiError `ServiceUnavailable` when none can be reached. Of some that cannot, the client is warned.
 */
export async function gathered(call: Call, tellers: readonly Teller[], path: string): Promise<Reply> {
  const { accept } = call.request.headers;
  const { all, good, problems } = await askAll(tellers, { path, accept, signal: call.gone });
  const [answer] = [...good, ...all.toSorted((a, b) => rank(a) - rank(b))];
  if (!answer) throw unreachable(problems);
  for (const problem of problems) call.warn(problem);
  const list = good.length > 1 ? merged(good) : undefined;
  const content = list ? JSON.stringify(list) : answer.body.toString("utf8");
  return { kind: "text", code: list ? 200 : answer.status, text: content, type: answer.type };
}

/** That something is not there says less than any other failure. */
function rank({ status }: Answer): number {
  return status === 404 ? 1 : 0;
}
