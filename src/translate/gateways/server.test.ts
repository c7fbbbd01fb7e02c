import { expect, test } from "vitest";
import { mergeServers } from "./server.ts";

type Speaks = readonly [protocol: string, host: string, bind?: string];

/** Which servers of a port, in their order, are left out. */
function leftOut(...servers: readonly Speaks[]): readonly number[] {
  const placed = servers.map(([protocol, host, bind = ""], index) => {
    const secure = protocol === "HTTPS" || protocol === "TLS";
    const files = { serverCertificate: "/crt", privateKey: "/key" };
    const tls = secure ? { tls: { mode: "SIMPLE" as const, ...files } } : {};
    const server = { port: { number: 80, name: "p", protocol }, hosts: [host], bind, ...tls };
    return { gateway: "shop/edge", index, server, port: 80 };
  });
  return mergeServers(placed).leftOut.map(({ server }) => server.index);
}

test.each<readonly [string, readonly Speaks[], readonly number[]]>([
  [
    "clear text is joined by clear text only",
    [
      ["HTTP", "a"],
      ["HTTP2", "a"],
      ["HTTPS", "b"],
      ["TCP", "c"],
    ],
    [2, 3],
  ],
  [
    "a TCP server stands alone",
    [
      ["TCP", "a"],
      ["TCP", "b"],
      ["HTTP", "c"],
      ["TLS", "d"],
    ],
    [1, 2, 3],
  ],
  [
    "servers with TLS differ in their hosts",
    [
      ["HTTPS", "a"],
      ["TLS", "b"],
      ["HTTPS", "shop/a"],
    ],
    [2],
  ],
  [
    "clear text may follow TLS, after which no TLS may",
    [
      ["HTTPS", "a"],
      ["HTTP", "b"],
      ["GRPC", "c"],
      ["HTTPS", "d"],
    ],
    [3],
  ],
  [
    "one TCP server may follow TLS",
    [
      ["TLS", "a"],
      ["TCP", "b"],
      ["TCP", "c"],
      ["HTTP", "d"],
    ],
    [2, 3],
  ],
  [
    "addresses are apart",
    [
      ["HTTP", "a"],
      ["TCP", "a", "127.0.0.1"],
      ["HTTPS", "a", "127.0.0.2"],
    ],
    [],
  ],
])("%s", (_what, servers, expected) => {
  expect(leftOut(...servers)).toEqual(expected);
});
