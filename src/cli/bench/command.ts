import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { systemClock } from "#base/clock.ts";
import { requireFreePorts } from "../demo/port.ts";
import { wholeNumber } from "../output.ts";
import type { BenchScale } from "./scale.ts";

interface ServeFlags extends BenchScale {
  readonly ads: number;
}

interface SeedFlags extends BenchScale {
  readonly meshApi: string;
  readonly clusterApi: string;
}

const form = /^(?:127\.0\.0\.1|localhost):(\d{1,5})$/;

/** Reads `127.0.0.1:15010`: plain text is for this machine only. */
function loopbackPort(text: string): number {
  const port = Number(form.exec(text)?.[1] ?? 0);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("write it as 127.0.0.1:PORT.");
  return port;
}

async function serve({ ads, ...scale }: ServeFlags): Promise<void> {
  const { BenchServer } = await import("./server.ts");
  await requireFreePorts([{ port: ads, flag: "--ads", use: "xDS" }]);
  const end = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => end.abort());
  await using server = new BenchServer(scale, ads, systemClock);
  try {
    const info = await server.start((step) => console.error(`weft bench: ${step}`), end.signal);
    console.log(JSON.stringify(info));
    await new Promise((resolve) => {
      end.signal.addEventListener("abort", resolve);
    });
  } catch (error) {
    if (!end.signal.aborted) throw error;
  }
}

function withSizeOptions(command: Command): Command {
  return command
    .option("--services <number>", "how many services", wholeNumber(1, 50_000), 1000)
    .option("--namespaces <number>", "how many namespaces they are spread over", wholeNumber(1, 1000), 20)
    .option(
      "--sidecars <number>",
      "namespaces that a Sidecar resource restricts to their own services",
      wholeNumber(0, 1000),
      0,
    );
}

/** `weft bench`. */
export function benchCommand(program: Command): void {
  const bench = program
    .command("bench")
    .summary("run what can be measured")
    .description("Runs parts of Weft over meshes of a chosen size, for measurements.");
  withSizeOptions(bench.command("serve"))
    .summary("serve a mesh of many services to any xDS client")
    .description(
      "Starts the API server and the control plane over a mesh of HTTP services (svc-0 and on in namespaces ns-0 and on, port 80 named http, two endpoints each). " +
        "Serves xDS in plain text on loopback. Prints a line of JSON when it is ready: pid (the root of the process tree), ads, kubeconfig. Ends, and leaves nothing, with Ctrl-C.",
    )
    .option("--ads <address>", "loopback address that xDS is served on", loopbackPort, 15_010)
    .addHelpText(
      "after",
      "\nExamples:\n  weft bench serve --services 1000 --namespaces 20 --ads 127.0.0.1:15010\n  weft bench serve --services 200 --namespaces 4 --sidecars 1",
    )
    .action(serve);
  withSizeOptions(bench.command("seed", { hidden: true }))
    .requiredOption("--mesh-api <url>", "the mesh's API")
    .requiredOption("--cluster-api <url>", "the member cluster's API")
    .action(async ({ meshApi, clusterApi, ...size }: SeedFlags) => {
      const { seed } = await import("./seed.ts");
      await seed(size, { mesh: meshApi, cluster: clusterApi }, systemClock);
    });
}
