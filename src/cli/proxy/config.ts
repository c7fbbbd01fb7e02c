import type { Command } from "commander";
import type { Client } from "#kube/client.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { type ClusterStatuses, type ConfigDump, bootstrapOf, clustersOf, listenersOf, routesOf } from "./dump.ts";
import { type ProxyObject, adminJson, listProxies, proxyNamed } from "./proxies.ts";
import { clusterTable, endpointTable, listenerTable, routeTable } from "./tables.ts";

/** One kind of what an Envoy holds: how to get it, and how to show it. */
interface Part {
  readonly name: string;
  readonly alias: string;
  readonly summary: string;
  readonly read: (client: Client, proxy: ProxyObject) => Promise<{ readonly data: unknown; readonly text?: string }>;
}

async function dump(client: Client, proxy: ProxyObject): Promise<ConfigDump> {
  return adminJson<ConfigDump>(client, proxy, "config_dump");
}

const parts: readonly Part[] = [
  {
    name: "listeners",
    alias: "listener",
    summary: "what a proxy listens on, and where each connection goes",
    read: async (client, proxy) => {
      const data = listenersOf(await dump(client, proxy));
      return { data, text: listenerTable(data) };
    },
  },
  {
    name: "routes",
    alias: "route",
    summary: "which requests go where",
    read: async (client, proxy) => {
      const data = routesOf(await dump(client, proxy));
      return { data, text: routeTable(data) };
    },
  },
  {
    name: "clusters",
    alias: "cluster",
    summary: "the services that a proxy knows",
    read: async (client, proxy) => {
      const data = clustersOf(await dump(client, proxy));
      return { data, text: clusterTable(data) };
    },
  },
  {
    name: "endpoints",
    alias: "endpoint",
    summary: "the addresses behind each service, and their health",
    read: async (client, proxy) => {
      const data = await adminJson<ClusterStatuses>(client, proxy, "clusters?format=json");
      return { data, text: endpointTable(data) };
    },
  },
  {
    name: "secrets",
    alias: "secret",
    summary: "the certificates that a proxy holds or waits for, without their keys",
    read: async (client, proxy) => {
      const { secretsOf, secretTable } = await import("./secrets.ts");
      const data = secretsOf(await dump(client, proxy), Date.now());
      return { data, text: secretTable(data) };
    },
  },
  {
    name: "bootstrap",
    alias: "bootstrap",
    summary: "what a proxy was started with",
    read: async (client, proxy) => ({ data: bootstrapOf(await dump(client, proxy)) }),
  },
];

/** `weft proxy-config`. */
export function proxyConfigCommand(program: Command): void {
  const group = program
    .command("proxy-config")
    .alias("pc")
    .summary("show the configuration that a proxy's Envoy holds")
    .description("Shows the configuration that a proxy's Envoy holds now, read from that Envoy itself.")
    .addHelpText(
      "after",
      "\nA proxy is named as pod.namespace, by its Pod, or by the beginning of the Pod's name.\n\nExamples:\n  weft proxy-config routes page\n  weft proxy-config endpoints page-7d4b9-x2x1v.shop -o json",
    );
  for (const part of parts) {
    const command = withApiFlags(group.command(part.name)).summary(part.summary);
    if (part.alias !== part.name) command.alias(part.alias);
    command
      .argument("<proxy>", "the proxy, as pod.namespace, Pod or workload")
      .addOption(outputOption(["table", "json", "yaml"]))
      .addHelpText(
        "after",
        `\nExamples:\n  weft proxy-config ${part.name} page\n  weft proxy-config ${part.name} page -o yaml`,
      )
      .action(async (word: string, flags: ApiFlags & { readonly output: OutputFormat }) => {
        using api = await openApi(flags);
        const { data, text } = await part.read(api.client, proxyNamed(await listProxies(api.client), word));
        const { output } = flags;
        process.stdout.write(
          output === "json" || output === "yaml" ? serialize(data, output) : (text ?? serialize(data, "yaml")),
        );
      });
  }
}
