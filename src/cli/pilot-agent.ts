import { getServers } from "node:dns";
import { isIPv4 } from "node:net";
import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Logger, LogLevel } from "#base/logger.ts";
import type { CaptureFlags } from "#agent/sidecar/capture-command.ts";
import { wholeNumber } from "./output.ts";
import { stderrLogger, terminated } from "./processes.ts";
import { weftVersion } from "./version.ts";

interface ProxyFlags {
  readonly domain: string;
  readonly proxyLogLevel: string;
  readonly proxyComponentLogLevel: string;
  readonly log_output_level: string;
}

/** Istio's levels of logs, `default:info,ca:debug`, as one of ours: that of all. */
function levelOf(text: string): LogLevel {
  const words = text.split(",").map((word) => word.split(":"));
  const level = words.find(([scope, value]) => value === undefined || scope === "default" || scope === "all");
  const told = level?.at(-1);
  if (told === "debug" || told === "error" || told === "warn") return told;
  return told === "none" || told === "fatal" ? "error" : "info";
}

function logger(flags: Pick<ProxyFlags, "log_output_level">): Logger {
  return stderrLogger({ logLevel: levelOf(flags.log_output_level) });
}

/** The name servers of the Pod. */
function nameServers(): readonly string[] {
  return getServers().filter((address) => isIPv4(address));
}

async function runProxy(role: string, flags: ProxyFlags): Promise<void> {
  const { runSidecar } = await import("#agent/sidecar/sidecar.ts");
  const { readSurroundings } = await import("#agent/sidecar/surroundings.ts");
  if (role !== "sidecar" && role !== "router")
    throw new WeftError("InvalidArgument", `a proxy is a sidecar or a router, not a ${role}`);
  const [, domain] = /\.svc\.(.+)$/.exec(flags.domain) ?? [];
  const ended = await runSidecar(
    {
      role: role === "router" ? "gateway" : "sidecar",
      told: readSurroundings(process.env),
      clusterDomain: domain ?? "cluster.local",
      envoy: "/usr/local/bin/envoy",
      logLevel: flags.proxyLogLevel,
      componentLogLevel: flags.proxyComponentLogLevel,
      uid: process.getuid?.() ?? 0,
      resolvers: nameServers(),
      version: weftVersion(),
    },
    { clock: systemClock, logger: logger(flags) },
    terminated(),
  );
  if (ended !== undefined) throw new WeftError("Unavailable", `the proxy is gone: ${ended}`);
}

interface WaitFlags {
  readonly url: string;
  readonly timeoutSeconds: number;
  readonly requestTimeoutMillis: number;
  readonly periodMillis: number;
}

/** Waits until the Pod's proxy is ready: Istio's hook of Pods that hold their application. */
async function waitForProxy({ url, timeoutSeconds, requestTimeoutMillis, periodMillis }: WaitFlags): Promise<void> {
  const { askLocal } = await import("#agent/sidecar/local-http.ts");
  const end = systemClock.monotonic() + timeoutSeconds * 1000;
  while (systemClock.monotonic() < end) {
    const answer = await askLocal(url, { timeoutMs: requestTimeoutMillis }).catch(() => undefined);
    if (answer?.status === 200) return;
    await systemClock.sleep(periodMillis);
  }
  throw new WeftError("DeadlineExceeded", `the proxy is not ready after ${timeoutSeconds} seconds`);
}

function captureCommand(program: Command): void {
  program
    .command("istio-iptables")
    .summary("have the Pod's traffic captured, or look whether it is")
    .option("-p, --envoy-port <port>", "port of outbound connections", "15001")
    .option("-z, --inbound-capture-port <port>", "port of inbound connections", "15006")
    .option("-u, --proxy-uid <uid>", "user of the proxy", "1337")
    .option("-m, --inbound-interception-mode <mode>", "REDIRECT or NONE", "REDIRECT")
    .option("-i, --outbound-ip-ranges <ranges>", "ranges that are captured", "")
    .option("-x, --outbound-ip-ranges-exclude <ranges>", "ranges that are not captured", "")
    .option("-b, --inbound-ports <ports>", "ports that are captured", "")
    .option("-d, --inbound-ports-exclude <ports>", "ports that are not captured", "")
    .option("-q, --outbound-ports <ports>", "ports of others that are captured whatever the range", "")
    .option("-o, --outbound-ports-exclude <ports>", "ports of others that are not captured", "")
    .option("-c, --exclude-interfaces <names>", "interfaces that are not captured", "")
    .option("--run-validation", "look whether traffic is captured")
    .option("--skip-rule-apply", "change nothing")
    .option("--log_output_level <levels>", "levels of logs", "default:info")
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (flags: CaptureFlags) => {
      const { runCapture } = await import("#agent/sidecar/capture-command.ts");
      const capture = process.env["ISTIO_META_DNS_CAPTURE"] === "true";
      await runCapture(flags, { capture, servers: nameServers() }, systemClock);
    });
}

/** `weft pilot-agent`: the command line of Istio's agent in a Pod, which injected containers call. */
export function pilotAgentCommand(program: Command): void {
  const agent = program
    .command("pilot-agent", { hidden: true })
    .summary("run in a Pod's proxy container")
    .description("What injected containers run: the command line of Istio's agent, carried out by Weft's.");
  agent
    .command("proxy <role>")
    .summary("run the Pod's proxy")
    .option("--domain <name>", "the Pod's domain", "default.svc.cluster.local")
    .option("--proxyLogLevel <level>", "least important messages of the proxy to log", "warning")
    .option("--proxyComponentLogLevel <levels>", "the same for some of its parts", "misc:error")
    .option("--log_output_level <levels>", "least important messages of the agent to log", "default:info")
    .allowUnknownOption()
    .allowExcessArguments()
    .action(runProxy);
  captureCommand(agent);
  agent
    .command("wait")
    .summary("wait until the proxy is ready")
    .option("--url <url>", "where it is asked", "http://localhost:15021/healthz/ready")
    .option("--timeoutSeconds <seconds>", "how long to wait", wholeNumber(1, 86_400), 60)
    .option("--requestTimeoutMillis <ms>", "how long an answer may take", wholeNumber(1, 60_000), 500)
    .option("--periodMillis <ms>", "how often to ask", wholeNumber(1, 60_000), 500)
    .action(waitForProxy);
  agent
    .command("request <method> <path>")
    .summary("ask the agent, or the proxy's admin interface")
    .option("--debug-port <port>", "the port", wholeNumber(1, 65_535), 15_000)
    .action(async (method: string, path: string, { debugPort }: { readonly debugPort: number }) => {
      const { askLocal } = await import("#agent/sidecar/local-http.ts");
      const url = `http://localhost:${debugPort}/${path.replace(/^\//, "")}`;
      const { status, body } = await askLocal(url, { method: method === "POST" ? "POST" : "GET" });
      process.stdout.write(body);
      if (status >= 400) throw new WeftError("Unavailable", `${url} answered ${status}`);
    });
}
