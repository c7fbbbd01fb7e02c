/** Asks the hosts named for an answer by HTTP/1.1, each 40 times a second on connections that are kept, until it is ended. An answer that takes over 5 seconds is waited for no more. */
import { Agent, get } from "node:http";
import { loadPorts } from "./load.ts";

const hosts = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 20 });

setInterval(() => {
  for (const host of hosts) {
    const request = get({ host, port: loadPorts.http1, agent, timeout: 5000 }, (response) => response.resume());
    request.on("timeout", () => request.destroy()).on("error", () => undefined);
  }
}, 25);
