import type { Agent } from "node:http";
import { WeftError } from "#base/errors.ts";
import { proxyPorts } from "../bootstrap.ts";
import { askLocal } from "../sidecar/local-http.ts";
import type { AskAdmin } from "./figures.ts";

const admin = `http://127.0.0.1:${proxyPorts.admin}`;
/** Bytes of an answer of Envoy's: what one holds of a large mesh. */
const mostBytes = 64 * 1024 * 1024;

/** Asks an Envoy by an agent of connections. */
export function asking(agent?: Agent): AskAdmin {
  return async (path) => {
    const { status, body } = await askLocal(`${admin}${path}`, { ...(agent && { agent }), mostBytes });
    const text = body.toString("utf8");
    if (status !== 200) throw new WeftError("Unavailable", `the proxy answered ${status} to ${path}: ${text}`);
    return text;
  };
}
