import { WeftError } from "#base/errors.ts";
import { isLoopback } from "#base/loopback.ts";

/** An etcd and what in it is a store's own. */
export interface EtcdAddress {
  /** HOST:PORT of its members. */
  readonly endpoints: readonly [string, ...string[]];
  /** `etcds://`: over TLS. */
  readonly secure: boolean;
  /** Begins every key of the store, `/weft/mesh`. */
  readonly prefix: string;
}

const form = "etcds://HOST:2379,HOST:2379,HOST:2379/PREFIX, or etcd:// in plain text on this machine";

/** Stands between a store's prefix and its keys, and in no prefix, so that no store's keys lie within another's. */
export const formatSegment = "weft.v1";

const addressForm = /^(etcds?):\/\/([^/]+)(\/.*)?$/;
const endpointForm = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?$/;
const segmentForm = /^[A-Za-z0-9._-]{1,64}$/;

function endpointOf(text: string, secure: boolean): string {
  const [, host = "", port = "2379"] = endpointForm.exec(text) ?? [];
  if (host === "" || Number(port) < 1 || Number(port) > 65_535) {
    throw new WeftError("InvalidArgument", `${JSON.stringify(text)} is no HOST:PORT of etcd: write ${form}`);
  }
  if (!secure && !isLoopback(host.replaceAll(/[[\]]/g, ""))) {
    throw new WeftError("InvalidArgument", `etcd at ${text} is on another machine: use etcds://, which speaks TLS`);
  }
  return `${host}:${port}`;
}

function prefixOf(path: string): string {
  const segments = path.split("/").slice(1);
  const good = segments.every((one) => segmentForm.test(one) && one !== formatSegment && one !== "." && one !== "..");
  if (good && segments.length > 0) return `/${segments.join("/")}`;
  throw new WeftError("InvalidArgument", `${JSON.stringify(path)} is no prefix of a store's keys: write ${form}`);
}

/**
 * Reads `etcds://HOST:PORT,.../PREFIX`; the port is 2379 and the prefix `/weft` unless given.
 * @throws WeftError `InvalidArgument` for what is no such address, and for plain text to another machine.
 */
export function parseEtcdAddress(text: string): EtcdAddress {
  const [, scheme, hosts, path] = addressForm.exec(text.replace(/\/+$/, "")) ?? [];
  if (hosts === undefined) throw new WeftError("InvalidArgument", `${JSON.stringify(text)} is no etcd: write ${form}`);
  const secure = scheme === "etcds";
  const [first = "", ...more] = hosts.split(",");
  return {
    endpoints: [endpointOf(first, secure), ...more.map((one) => endpointOf(one, secure))],
    secure,
    prefix: prefixOf(path ?? "/weft"),
  };
}
