import { Agent, request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { parse, stringify } from "yaml";

/** A policy of a group: its action and its rules, as YAML. `PLAIN` and `SECURE` stand for the group's two ports. */
export type PolicyText = readonly [action: "ALLOW" | "DENY", rules: string];

/** Policies of one port, and what callers of it get. */
export interface Group {
  /** The heading of Istio's documentation that the rows follow. */
  readonly heading: string;
  readonly policies: readonly PolicyText[];
  /**
   * What callers get, a line each: `CALLER METHOD PATH [HEADER=VALUE]... -> OUTCOME` for HTTP, `CALLER -> OUTCOME` for
   * bytes. Outcomes are `allowed`, `denied` by policy, `closed`, or a status and the answer's text.
   */
  readonly rows: string;
  /** Whether the port is not HTTP. */
  readonly tcp?: true;
}

/** A request, and what is to become of it. */
export interface Row {
  readonly title: string;
  readonly group: Group;
  /** The number of its group. */
  readonly at: number;
  readonly caller: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly outcome: string;
}

/** The port of a group in clear text. */
export const plainPort = (at: number): number => 10_001 + at;

/** The port of a group within TLS. */
export const securePort = (at: number): number => 20_001 + at;

/** The path of a group whose policies are told apart by path. */
export const groupPath = (at: number): string => `/group-${at}`;

interface RuleText {
  readonly to?: readonly { readonly operation: Readonly<Record<string, readonly string[]>> }[];
}

/** A group's rules, where they are for its own place alone. */
function rulesAt(rules: string, place: Readonly<Record<string, readonly string[]>>): readonly unknown[] {
  return (parse(rules) as readonly RuleText[]).map((rule) => {
    const { to = [{ operation: {} }] } = rule;
    return { ...rule, to: to.map(({ operation }) => ({ operation: { ...place, ...operation } })) };
  });
}

/** AuthorizationPolicies of a workload's groups. A group that allows nothing by itself is open but for its refusals. */
function policyTexts(
  groups: readonly Group[],
  app: string,
  rulesOf: (rules: string, at: number) => readonly unknown[],
): string {
  const texts = groups.flatMap(({ policies }, at) => {
    const allows = policies.some(([action]) => action === "ALLOW");
    const all: readonly PolicyText[] = allows ? policies : [...policies, ["ALLOW", "[{}]"]];
    return all.map(([action, rules], index) => ({
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: `${app}-${at}-${index}` },
      spec: { selector: { matchLabels: { app } }, action, rules: rulesOf(rules, at) },
    }));
  });
  return texts.map((text) => stringify(text)).join("---\n");
}

/** Policies of groups, each for its two ports. */
export function policiesOf(groups: readonly Group[], app: string): string {
  return policyTexts(groups, app, (rules, at) => {
    const ports = [plainPort(at), securePort(at)].map(String);
    const written = rules.replaceAll("PLAIN", String(plainPort(at))).replaceAll("SECURE", String(securePort(at)));
    return rulesAt(written, { ports });
  });
}

/** Policies of groups, each for its path. */
export function policiesByPath(groups: readonly Group[], app: string): string {
  return policyTexts(groups, app, (rules, at) => rulesAt(rules, { paths: [`${groupPath(at)}/*`] }));
}

/** What ports of groups say of TLS. */
export interface PortFiles {
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
}

/** A Sidecar with inbound ports. */
function sidecar(app: string, ingress: readonly unknown[]): string {
  return stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "Sidecar",
    metadata: { name: app },
    spec: { workloadSelector: { labels: { app } }, ingress },
  });
}

/** The port of a group in clear text, as a Sidecar says it. */
function plainIngress({ tcp }: Group, at: number) {
  const number = plainPort(at);
  const port = { number, protocol: tcp ? "TCP" : "HTTP", name: `p${number}` };
  return { port, defaultEndpoint: `127.0.0.1:${tcp ? 9001 : 8080}` };
}

/** A Sidecar with the ports of groups in clear text. */
export function plainPortsOf(groups: readonly Group[], app: string): string {
  return sidecar(app, groups.map(plainIngress));
}

/** A Sidecar with the ports of groups, each in clear text and within TLS that asks for the caller's certificate. */
export function portsOf(groups: readonly Group[], app: string, files: PortFiles): string {
  const tls = {
    mode: "OPTIONAL_MUTUAL",
    serverCertificate: files.certificate,
    privateKey: files.key,
    caCertificates: files.authority,
  };
  const ingress = groups.flatMap((group, at) => {
    const plain = plainIngress(group, at);
    const number = securePort(at);
    const port = { number, protocol: group.tcp ? "TLS" : "HTTPS", name: `p${number}` };
    return [plain, { ...plain, port, tls }];
  });
  return sidecar(app, ingress);
}

/** The rows of groups. */
export function rowsOf(groups: readonly Group[]): readonly Row[] {
  return groups.flatMap((group, at) =>
    group.rows
      .trim()
      .split("\n")
      .map((line): Row => {
        const [call = "", outcome = ""] = line.trim().split(/\s*->\s*/);
        const [caller = "", method = "GET", path = "/", ...headers] = call.split(/\s+/);
        const policies = group.policies.map(([action, rules]) => `${action} ${rules}`).join(" and ");
        const pairs = headers.map((header) => [header.split("=")[0] ?? "", header.slice(header.indexOf("=") + 1)]);
        return {
          title: `${group.heading}: ${policies}: ${line.trim()}`,
          group,
          at,
          caller,
          method,
          path,
          headers: Object.fromEntries(pairs) as Record<string, string>,
          outcome,
        };
      }),
  );
}

/** Makes a connection one within TLS. */
export function secured(socket: Socket, options: ConnectionOptions): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const secure = connectTls({ socket, ...options }, () => resolve(secure));
  secure.once("error", reject);
  return promise;
}

/** Sends one HTTP request on a connection, and closes it. */
export function requestOn(
  socket: Socket,
  { method, path, headers }: Pick<Row, "method" | "path" | "headers">,
): Promise<{ readonly status: number; readonly text: string; readonly headers: Readonly<Record<string, unknown>> }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof requestOn>>>();
  const agent = new Agent();
  agent.createConnection = () => socket;
  const request = httpRequest({ agent, method, path, headers: { host: "server.shop", ...headers } }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.once("error", reject);
    response.on("end", () => {
      resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
      socket.destroy();
    });
  });
  request.once("error", reject).end();
  return promise;
}

/** Sends bytes, and gives back what comes before the end or as much as was sent. */
export function echoOn(socket: Socket, sent = "hello\n"): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let got = "";
  const done = (): void => {
    resolve(got);
    socket.destroy();
  };
  socket.on("data", (chunk: Buffer) => {
    got += chunk.toString();
    if (got.length >= sent.length) done();
  });
  socket.once("error", done).once("end", done).once("close", done);
  socket.write(sent);
  return promise;
}
