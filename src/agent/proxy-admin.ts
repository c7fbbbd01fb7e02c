import { request } from "node:http";
import { WeftError } from "#base/errors.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { handshakesStat, proxyPorts } from "./bootstrap.ts";

/**
 * Asks the admin interface of a Pod's proxy.
 * @throws WeftError `Unavailable` when it does not answer with 200.
 */
async function askAdmin(network: string, method: "GET" | "POST", path: string): Promise<string> {
  const socket = await connectInside(network, { host: "127.0.0.1", port: proxyPorts.admin });
  return new Promise((resolve, reject) => {
    const call = request({
      createConnection: () => socket,
      method,
      path,
      headers: { connection: "close" },
      timeout: 5000,
    });
    call.once("timeout", () => call.destroy(new Error("no answer in time")));
    call.once("error", (error) => reject(new WeftError("Unavailable", `the proxy's ${path}`, error)));
    call.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.once("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new WeftError("Unavailable", `the proxy answered ${response.statusCode} to ${path}: ${text}`));
      });
    });
    call.end();
  });
}

/** Which of the processes that hand over to each other answers, and whether it serves. */
export async function servingEpoch(network: string): Promise<{ readonly epoch: number; readonly live: boolean }> {
  const info = JSON.parse(await askAdmin(network, "GET", "/server_info")) as {
    readonly state?: string;
    readonly command_line_options?: { readonly restart_epoch?: number };
  };
  return { epoch: info.command_line_options?.restart_epoch ?? 0, live: info.state === "LIVE" };
}

/** Makes a proxy tell its peers to go: listeners, those of others' calls unless told, close once their connections have ended. */
export async function drainProxy(network: string, which: "inbound" | "all" = "inbound"): Promise<void> {
  await askAdmin(network, "POST", `/drain_listeners?${which === "inbound" ? "inboundonly&" : ""}graceful&skip_exit`);
}

/** A listener of a dump of Envoy's configuration, as far as it is looked into. */
interface DumpedListener {
  readonly active_state?: {
    readonly listener?: {
      readonly filter_chains?: readonly {
        readonly filter_chain_match?: { readonly destination_port?: number; readonly transport_protocol?: string };
      }[];
    };
  };
}

/** Whether each port of the listener that is dumped has a chain for what is no TLS. */
export function allTakePlainText(dump: string): boolean {
  const { configs = [] } = JSON.parse(dump) as { readonly configs?: readonly DumpedListener[] };
  return configs.every(({ active_state: { listener } = {} }) => {
    const matches = (listener?.filter_chains ?? []).map((chain) => chain.filter_chain_match ?? {});
    const plain = matches.filter(
      ({ transport_protocol: transport }) => transport === undefined || transport === "raw_buffer",
    );
    const open = new Set(plain.map(({ destination_port: port }) => port));
    return matches.every(({ destination_port: port }) => open.has(port));
  });
}

/** Whether all ports of a Pod take plain text, as its proxy works now. */
export async function takesPlainText(network: string): Promise<boolean> {
  return allTakePlainText(
    await askAdmin(network, "GET", "/config_dump?resource=dynamic_listeners&name_regex=^virtualInbound$"),
  );
}

/** How often peers began to speak mutual TLS to a Pod; undefined for a proxy that does not count it. */
export async function handshakes(network: string): Promise<number | undefined> {
  const text = await askAdmin(network, "GET", `/stats?filter=${handshakesStat.replaceAll(".", "[.]")}$`);
  const counts = text.split("\n").flatMap((line) => /: (\d+)$/.exec(line)?.[1] ?? []);
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + Number(count), 0);
}
