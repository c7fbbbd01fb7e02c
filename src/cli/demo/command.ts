import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { command as systemCommand } from "#runtime/command.ts";
import { isAlive, signalProcess } from "#runtime/identity.ts";
import { type OutputFormat, outputOption, serialize, wholeNumber } from "../output.ts";
import { DemoControl, maxLoad, serveControl } from "./control.ts";
import { calledFromOutside, goodbye, howToEnd, welcome } from "./hints.ts";
import { defaultPorts, type Layout, layoutOf } from "./layout.ts";
import { readRecord, runningRecord } from "./record.ts";
import { plainLine } from "./screen.ts";
import { LiveScreen } from "./live-screen.ts";
import { DemoSupervisor } from "./supervisor.ts";
import type { DemoInfo } from "./status.ts";
import { type Kept, tearDown } from "./teardown.ts";
import { DemoWatcher } from "./watcher.ts";
import { weftProgram } from "../service.ts";

interface DemoFlags {
  readonly name: string;
  readonly detach?: boolean;
  readonly stop?: boolean;
  readonly keep?: boolean;
  readonly load: number;
  readonly gatewayPort: number;
  readonly apiPort: number;
  readonly envoy?: string;
}

const root = join(import.meta.dirname, "..", "..", "..");

/** The Envoy to run: the flag's, the environment's, or the one that set-up fetched. */
async function envoyPath(flags: DemoFlags): Promise<string> {
  const own = flags.envoy ?? process.env["WEFT_ENVOY"];
  const fetched = join(root, "build", "envoy.path");
  if (own === undefined && !existsSync(fetched)) {
    throw new WeftError("FailedPrecondition", "Envoy has not been fetched yet: run 'make setup', or give --envoy");
  }
  const path = own ?? readFileSync(fetched, "utf8").trim();
  try {
    await systemCommand([path, "--version"]);
  } catch (error) {
    throw new WeftError(
      "FailedPrecondition",
      `${path} is not an Envoy that runs here: run 'make setup', or give --envoy`,
      error,
    );
  }
  return path;
}

function requireRoot(): void {
  if (process.getuid?.() !== 0) {
    throw new WeftError("PermissionDenied", "the demo makes network namespaces: run it as root");
  }
}

/** What of the state stays when a demonstration ends. */
function keptBy({ keep }: DemoFlags): Kept {
  return keep === true ? "all" : "nothing";
}

/** Aborts when the user, the system or a closed terminal asks to end. */
function endSignal(): AbortSignal {
  const end = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => end.abort());
  return end.signal;
}

/** The welcome, with addresses as they are now. */
async function welcomeNow(layout: Layout, info: DemoInfo): Promise<string> {
  using watcher = new DemoWatcher(layout);
  return welcome(info, await watcher.podAddresses(calledFromOutside));
}

/** Runs in the foreground until the signal; returns when everything is removed. */
async function runForeground(layout: Layout, flags: DemoFlags): Promise<void> {
  const envoy = await envoyPath(flags);
  const signal = endSignal();
  const ports = { gateway: flags.gatewayPort, api: flags.apiPort };
  const screen = new LiveScreen(process.stdout);
  const options = { layout, ports, load: flags.load, keep: flags.keep === true, envoy };
  const supervisor = new DemoSupervisor(options, systemClock, (line) => screen.say(line));
  let kept = keptBy(flags);
  try {
    mkdirSync(layout.run, { recursive: true, mode: 0o711 });
    await supervisor.start(signal);
    await using _control = await serveControl(layout, supervisor);
    console.log(await welcomeNow(layout, supervisor.info));
    await watchUntil(signal, supervisor, screen);
  } catch (error) {
    if (!signal.aborted) {
      // What went wrong is told by the logs, which the message names.
      if (kept === "nothing") kept = "logs";
      throw error;
    }
  } finally {
    screen.end();
    await supervisor.stop(kept);
    console.log(goodbye(layout, existsSync(layout.state) ? kept : "nothing"));
  }
}

async function watchUntil(signal: AbortSignal, supervisor: DemoSupervisor, screen: LiveScreen): Promise<void> {
  while (!signal.aborted) {
    await supervisor.refresh();
    screen.show(supervisor.info, supervisor.status);
    await systemClock.sleep(1_000, signal).catch(() => undefined);
  }
}

/** A demonstration that runs already: its addresses, and its status until the terminal has enough of it. */
async function follow(layout: Layout, flags: DemoFlags): Promise<void> {
  const record = runningRecord(layout);
  if (!record) return;
  console.log(`the demo runs already (pid ${record.supervisor.pid})`);
  console.log(await welcomeNow(layout, record.info));
  if (flags.detach === true || !process.stdout.isTTY) return;
  using control = new DemoControl(layout);
  const signal = endSignal();
  const screen = new LiveScreen(process.stdout);
  while (!signal.aborted && isAlive(record.supervisor)) {
    screen.show(record.info, await control.status());
    await systemClock.sleep(1_000, signal).catch(() => undefined);
  }
  screen.end();
  console.log(`the demo goes on; end it with: ${howToEnd(layout)}`);
}

/** Starts a supervisor of its own and returns when it is ready; its lines are passed on meanwhile. */
async function detach(layout: Layout): Promise<void> {
  mkdirSync(layout.logs, { recursive: true, mode: 0o711 });
  const logFile = join(layout.logs, "supervisor.log");
  const log = openSync(logFile, "w", 0o600);
  const args = process.argv.slice(2).filter((word) => word !== "--detach" && word !== "-d");
  const child = spawn(weftProgram, args, {
    detached: true,
    stdio: ["ignore", log, log],
  });
  const signal = endSignal();
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  child.unref();
  let shown = 0;
  const passOn = (): void => {
    const text = existsSync(logFile) ? readFileSync(logFile, "utf8") : "";
    process.stdout.write(text.slice(shown));
    shown = Math.max(shown, text.length);
  };
  while (!hasEnded() && !runningRecord(layout)?.ready) {
    if (signal.aborted) child.kill("SIGTERM");
    await systemClock.sleep(100);
    passOn();
  }
  passOn();
  if (child.exitCode === 0) throw new WeftError("Unavailable", "the demo was stopped before it was ready");
  if (hasEnded()) throw new WeftError("Unavailable", `the demo did not start; its log is ${logFile}`);
  console.log(`It runs in the background; end it with: ${howToEnd(layout)}`);
}

/** Ends a demonstration, whichever checkout started it, and removes what a killed one left. */
async function stop(layout: Layout, flags: DemoFlags): Promise<void> {
  const record = readRecord(layout);
  if (record && signalProcess(record.supervisor, "SIGTERM")) {
    const limit = systemClock.monotonic() + 60_000;
    while (isAlive(record.supervisor) && systemClock.monotonic() < limit) await systemClock.sleep(100);
    signalProcess(record.supervisor, "SIGKILL");
  }
  await tearDown(layout, keptBy(flags));
  console.log(goodbye(layout, keptBy(flags)));
}

async function demo(flags: DemoFlags): Promise<void> {
  requireRoot();
  const layout = layoutOf(flags.name);
  if (flags.stop === true) await stop(layout, flags);
  else if (runningRecord(layout)) await follow(layout, flags);
  else if (flags.detach === true) await detach(layout);
  else await runForeground(layout, flags);
}

function requireRunning(name: string): Layout {
  const layout = layoutOf(name);
  if (!runningRecord(layout))
    throw new WeftError("FailedPrecondition", "the demo does not run: start it with make demo");
  return layout;
}

function nameOption(): Option {
  return new Option("--name <name>", "name of the instance; several can run side by side")
    .default("demo")
    .argParser((text) => {
      // It becomes part of paths and of names of network namespaces.
      if (/^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/.test(text)) return text;
      throw new InvalidArgumentError("write up to 20 lower-case letters, digits and hyphens.");
    });
}

function infoCommand(demoCommand: Command): void {
  demoCommand
    .command("info")
    .summary("print the addresses of the running demo")
    .addOption(nameOption())
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft demo info\n  weft demo info -o json")
    .action(async ({ output }: { readonly output: OutputFormat }, command: Command) => {
      const { name } = command.optsWithGlobals<{ readonly name: string }>();
      const layout = requireRunning(name);
      const record = readRecord(layout);
      if (!record) return;
      if (output === "json" || output === "yaml") process.stdout.write(serialize(record.info, output));
      else console.log(await welcomeNow(layout, record.info));
    });
}

function statusCommand(demoCommand: Command): void {
  demoCommand
    .command("status")
    .summary("print the state of the running demo as one line")
    .addOption(nameOption())
    .addHelpText("after", "\nExample:\n  weft demo status")
    .action(async (_flags: object, command: Command) => {
      const { name } = command.optsWithGlobals<{ readonly name: string }>();
      using control = new DemoControl(requireRunning(name));
      console.log(plainLine(await control.status()));
    });
}

function loadCommand(demoCommand: Command): void {
  demoCommand
    .command("load")
    .summary("change the load of the running demo")
    .addOption(nameOption())
    .argument("<rps>", `requests a second, 0 to ${maxLoad}`, wholeNumber(0, maxLoad))
    .addHelpText("after", "\nExamples:\n  weft demo load 200\n  weft demo load 0")
    .action(async (rps: number, _flags: object, command: Command) => {
      const { name } = command.optsWithGlobals<{ readonly name: string }>();
      using control = new DemoControl(requireRunning(name));
      await control.setLoad(rps);
      console.log(`load set to ${rps} requests a second`);
    });
}

/** `weft demo` and what belongs to it. */
export function demoCommand(program: Command): void {
  const port = wholeNumber(1, 65_535);
  const demoCommand = program
    .command("demo")
    .summary("run the demonstration mesh on this machine")
    .description("Runs a mesh of two embedded clusters with a bookshop on this machine. Ctrl-C removes everything.")
    .addOption(nameOption())
    .option("-d, --detach", "return when all is ready, and run on in the background")
    .option("--stop", "end the demo, whichever checkout started it, and remove everything")
    .option("--keep", "keep the store, logs and kubeconfigs when it ends")
    .option("--load <rps>", "requests a second that the load generator sends", wholeNumber(0, maxLoad), 20)
    .option("--gateway-port <port>", "loopback port of the ingress gateway", port, defaultPorts.gateway)
    .option(
      "--api-port <port>",
      "loopback port of the mesh's API; the clusters' follow it",
      wholeNumber(1, 65_000),
      defaultPorts.api,
    )
    .option("--envoy <path>", "another Envoy than the one that set-up fetched")
    .addHelpText(
      "after",
      "\nExamples:\n  weft demo\n  weft demo --detach --load 100\n  weft demo --stop\n  weft demo info -o json",
    )
    .action(async (flags: DemoFlags) => demo(flags));
  infoCommand(demoCommand);
  statusCommand(demoCommand);
  loadCommand(demoCommand);
}
