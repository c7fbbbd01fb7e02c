/** Runs an Envoy in the network namespace of this process, and asks it: a benchmark forks it into one of its own. */
import { Agent, get } from "node:http";
import { systemClock } from "#base/clock.ts";
import { TestEnvoy } from "#xds/testing/envoy.ts";

/** What a benchmark asks of it. */
export type DriverRequest =
  | {
      readonly kind: "start";
      readonly version: string;
      readonly variant: "delta" | "sotw";
      readonly socketPath: string;
      readonly id: string;
      readonly metadata: Readonly<Record<string, unknown>>;
    }
  /** Asks Envoy's admin interface. */
  | { readonly kind: "admin"; readonly path: string }
  /** Asks for a host on port 80 again and again until the answer's body is this one. */
  | { readonly kind: "until"; readonly host: string; readonly body: string };

/** What it answers. Times are nanoseconds of the monotonic clock. */
export type DriverAnswer =
  | { readonly kind: "started" }
  /** When the first answer with that body had come; how many requests were answered, and how many not with 200. */
  | { readonly kind: "seen"; readonly at: string; readonly requests: number; readonly failed: number }
  | { readonly kind: "told"; readonly text: string }
  | { readonly kind: "failed"; readonly reason: string };

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const limitMs = 30_000;

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(host: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port: 80, headers: { host }, agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    // Before its listener is there, nobody answers.
    request.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ECONNREFUSED" ? resolve({ status: 0, body: "" }) : reject(error),
    );
  });
}

async function until(host: string, body: string): Promise<DriverAnswer> {
  const end = performance.now() + limitMs;
  let requests = 0;
  let failed = 0;
  while (performance.now() < end) {
    const answer = await ask(host);
    requests += 1;
    if (answer.status === 200 && answer.body === body) {
      return { kind: "seen", at: String(process.hrtime.bigint()), requests, failed };
    }
    if (answer.status !== 200) failed += 1;
    // Asking without a pause would take a core from what is measured.
    await systemClock.sleep(1);
  }
  return { kind: "failed", reason: `${host} never answered ${body}` };
}

const answer = (message: DriverAnswer): void => void process.send?.(message);
let envoy: TestEnvoy | undefined;
async function take(request: DriverRequest): Promise<DriverAnswer> {
  if (request.kind === "admin") return { kind: "told", text: (await envoy?.admin(request.path)) ?? "" };
  if (request.kind === "until") return await until(request.host, request.body);
  const { socketPath, ...options } = request;
  envoy = await TestEnvoy.start({ ...options, ads: { socketPath } });
  return { kind: "started" };
}
process.on("message", (request: DriverRequest) => {
  take(request).then(answer, (error: unknown) => answer({ kind: "failed", reason: String(error) }));
});
process.on("disconnect", () => {
  void (envoy?.[Symbol.asyncDispose]() ?? Promise.resolve()).then(() => process.exit());
});
