/**
 * A small program for Pods: answers every HTTP request with what it is and what it was asked, exits at `/exit/CODE`, and makes
 * its readiness fail at `/unready`, and asks a URL once at `/ask?URL`. With `--call URL` it asks that URL many times a second and tells at `/calls` how that went.
 */
import { Agent, createServer, get } from "node:http";

const port = Number(process.env["PORT"] ?? 8080);
const [flag, url = ""] = process.argv.slice(2);
let calls = { ok: 0, failed: 0, last: "", problems: [] as string[] };
let ready = true;

const server = createServer((request, response) => {
  const path = request.url ?? "/";
  if (path.startsWith("/exit/")) process.exit(Number(path.slice("/exit/".length)));
  if (path === "/unready") ready = false;
  if (path === "/calls?forget") calls = { ok: 0, failed: 0, last: "", problems: [] };
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
    ? calls
    : { pod: process.env["POD_NAME"], pid: process.pid, path, env: process.env };
  response.end(JSON.stringify(body));
});
server.listen(port, "0.0.0.0", () => console.log(`listening on ${port}`));

/** A new connection, and so a new look-up of the name, for each call. */
const agent = new Agent({ keepAlive: false });

function call(): void {
  get(url, { agent, timeout: 5000 }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.on("end", () => {
      calls.last = text;
      if (response.statusCode === 200) calls.ok += 1;
      else fail(`status ${response.statusCode}: ${text}`);
    });
  })
    .on("timeout", function timeout(this: { destroy: (error: Error) => void }) {
      this.destroy(new Error("timeout"));
    })
    .on("error", (error) => fail(error.message));
}

function fail(problem: string): void {
  calls.failed += 1;
  calls.problems.push(`${new Date().toISOString()} ${problem}`);
  calls.problems.splice(0, calls.problems.length - 5);
}

if (flag === "--call") setInterval(call, 25);
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 200).unref();
});
