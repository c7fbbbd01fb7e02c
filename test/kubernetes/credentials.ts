import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Authority, type Credential } from "#apiserver/pki/authority.ts";
import { systemClock } from "#base/clock.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";

/** Whom a client certificate is for, and the groups of RBAC that it puts them in. */
export interface Caller {
  readonly name: string;
  readonly groups?: readonly string[];
}

/** Who may do everything. */
export const admin: Caller = { name: "admin", groups: ["system:masters"] };

const dayMs = 86_400_000;

/** The certificates and keys of one cluster, as files in a folder of its own. */
export class Credentials {
  readonly #folder: string;
  readonly #authority: Authority;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    this.#authority = Authority.open(join(folder, "ca"), "cluster", systemClock);
    const frontProxy = Authority.open(join(folder, "front-proxy-ca"), "front-proxy", systemClock);
    this.#write("front-proxy", frontProxy.issueClient({ name: "front-proxy-client", groups: [] }, dayMs));
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    writeFileSync(this.file("tokens.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(this.file("tokens.pub"), publicKey.export({ type: "spki", format: "pem" }));
  }

  /** The authority's certificate, which every member of the cluster trusts. */
  get authority(): string {
    return this.#authority.certificate;
  }

  /** Path of one of the files. */
  file(name: string): string {
    return join(this.#folder, name);
  }

  /** Makes `NAME.crt` and `NAME.key`, by which a server has these DNS names and addresses. */
  server(name: string, names: readonly string[]): void {
    this.#write(name, this.#authority.issueServing(names));
  }

  /** Makes `NAME.crt` and `NAME.key` of a client. */
  client(name: string, caller: Caller): void {
    this.#write(name, this.issue(caller));
  }

  /** A certificate of a client, kept nowhere. */
  issue({ name, groups = [] }: Caller): Credential {
    return this.#authority.issueClient({ name, groups }, dayMs);
  }

  /** Makes a kubeconfig of a client. @returns its path. */
  kubeconfig(name: string, url: string, caller: Caller): string {
    const path = this.file(`${name}.kubeconfig`);
    writeFileSync(path, this.kubeconfigText(url, caller), { mode: 0o600 });
    return path;
  }

  /** A kubeconfig of a client, as YAML. */
  kubeconfigText(url: string, caller: Caller): string {
    const server = { url, ca: this.authority, ...this.issue(caller) };
    return formatKubeconfig([{ name: "test", cluster: "test", user: caller.name, namespace: "default", server }]);
  }

  #write(name: string, { certificate, key }: Credential): void {
    writeFileSync(this.file(`${name}.crt`), certificate);
    writeFileSync(this.file(`${name}.key`), key, { mode: 0o600 });
  }
}
