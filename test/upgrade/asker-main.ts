/** Asks the hosts named for an answer by HTTP/1.1, each 40 times a second on connections that are kept, until it is ended. */
import { Agent, get } from "node:http";
import { loadPorts } from "./load.ts";

const hosts = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 20 });

setInterval(() => {
  for (const host of hosts)
    get({ host, port: loadPorts.http1, agent, timeout: 5000 }, (response) => response.resume()).on(
      "error",
      () => undefined,
    );
}, 25);
