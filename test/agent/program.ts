/**
 * A small program for Pods: answers every HTTP request with what it is and what it was asked, exits at `/exit/CODE`, and makes
 * its readiness fail at `/unready`, and asks a URL once at `/ask?URL`. With `--call URL` it asks that URL 25 times a second, however long
 * answers take, and tells at `/calls` how that went. With `--control OTHER` after that it asks OTHER too, one request after the
 * other, and a call has hung when a hundred of those were answered meanwhile: so a machine that is slow with both is no fault.
 */
import { Agent, createServer, get, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";

const port = Number(process.env["PORT"] ?? 8080);
const [flag, url = "", ...flags] = process.argv.slice(2);
const control = flags[0] === "--control" ? flags[1] : undefined;
let calls = none();
let ready = true;

const server = createServer(answer);
// Every answer says that it ends its connection. A server that closes idle ones does so beside a request on its way now and then, a failure
// that would be its own; and one that leaves them open keeps callers' proxies outside of the mesh that its Pod has joined.
server.maxRequestsPerSocket = 1;

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "/";
  if (path.startsWith("/exit/")) process.exit(Number(path.slice("/exit/".length)));
  if (path === "/unready") ready = false;
  if (path === "/calls?forget") calls = none();
  if (path.startsWith("/ask?")) {
    get(path.slice("/ask?".length), { agent: false, timeout: 5000 }, (answer) => {
      response.writeHead(answer.statusCode ?? 500);
      answer.pipe(response);
    }).on("error", (error) => response.writeHead(502).end(error.message));
    return;
  }
  if (path === "/ready") {
    response.writeHead(ready ? 200 : 503).end();
    return;
  }
  response.setHeader("content-type", "application/json");
  const body = path.startsWith("/calls")
    ? { ...calls, seconds: (performance.now() - calls.since) / 1000 }
    : { pod: process.env["POD_NAME"], pid: process.pid, path, env: process.env };
  response.end(JSON.stringify(body));
}

server.listen(port, "0.0.0.0", () => console.log(`listening on ${port}`));

/** How calls went since they were forgotten. */
function none() {
  const problems: string[] = [];
  return { ok: 0, failed: 0, begun: 0, last: "", problems, control: 0, since: performance.now() };
}

/** A new connection, and so a new look-up of the name, for each call. */
const agent = new Agent({ keepAlive: false });

/** Milliseconds after which a call has hung on a machine that is not busy, and on any. */
const [limitMs, longestMs] = [5000, 60_000];
/** Milliseconds between an answer to a control and the next one, and how many of them are as long as the limit. */
const [pauseMs, limitControls] = [50, 100];

function ask(from: string, timeout: number, answered: (text: string) => void): ClientRequest {
  return get(from, { agent, timeout }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.on("end", () => {
      if (response.statusCode === 200) answered(text);
      else fail(`status ${response.statusCode}: ${text}`);
    });
  })
    .on("timeout", function timeout(this: { destroy: (error: Error) => void }) {
      this.destroy(new Error("timeout"));
    })
    .on("error", (error) => fail(`${from}: ${error.message}`));
}

function fail(problem: string): void {
  calls.failed += 1;
  calls.problems.push(`${new Date().toISOString()} ${problem}`);
  calls.problems.splice(0, calls.problems.length - 5);
}

/** Calls that wait for their answer, with how many controls had been answered when they began. */
const waiting = new Map<ClientRequest, number>();
let controls = 0;

function call(): void {
  calls.begun += 1;
  const request = ask(url, control === undefined ? limitMs : longestMs, (text) => {
    calls.last = text;
    calls.ok += 1;
  });
  waiting.set(request, controls);
  request.on("close", () => waiting.delete(request));
}

function checkWaiting(): void {
  for (const [request, begun] of waiting) {
    if (controls - begun > limitControls) request.destroy(new Error(`${limitControls} others were answered meanwhile`));
  }
}

function controlCall(other: string): void {
  ask(other, longestMs, () => {
    controls += 1;
    calls.control += 1;
    checkWaiting();
  }).on("close", () => setTimeout(controlCall, pauseMs, other));
}

/** Begins the calls that are due: as many as there should be, also when the timer was late. */
function callWhatIsDue(): void {
  while (calls.begun < ((performance.now() - calls.since) / 1000) * 25) call();
}

if (flag === "--call") setInterval(callWhatIsDue, 40);
if (control !== undefined) {
  // A port of its own, to which other policies may apply.
  createServer(answer).listen(port + 1, "0.0.0.0");
  controlCall(control);
}
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 200).unref();
});
