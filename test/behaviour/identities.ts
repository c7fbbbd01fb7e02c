import { dirname, join } from "node:path";
import { certificateSecret, rootsSecret } from "#agent/sds/proxy-secrets.ts";
import { ProxySocket } from "#agent/proxy-socket.ts";
import { SecretService } from "#agent/sds/secret-service.ts";
import { silentLogger } from "#base/logger.ts";
import { type Authority, type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { type Identity, spiffeId } from "#identity/spiffe.ts";
import type { EncodedResource } from "#proto/encoded.ts";

/** The user that proxies run as. */
const proxyUser = 1337;

/** The mesh's identities: an authority, and what each proxy is served of it, as the agent does. */
export class Identities implements AsyncDisposable {
  readonly authority: Authority = createAuthority("mesh");
  readonly #secrets = new Map<string, Map<string, EncodedResource>>();
  readonly #services = new Map<string, SecretService>();
  readonly #stack = new AsyncDisposableStack();

  /** A certificate of the mesh for an identity. */
  issue(identity: Identity): Certificate {
    return this.authority.issue(spiffeId(identity));
  }

  /**
   * Serves a proxy its certificate, and the mesh's authority.
   * @param ads a socket in whose folder the proxy's own is made.
   * @returns the path of the proxy's socket.
   */
  async serve(ads: string, name: string, identity: Identity): Promise<string> {
    this.replace(name, this.issue(identity), [this.authority.certificate]);
    const secrets = (): ReadonlyMap<string, EncodedResource> => this.#secrets.get(name) ?? new Map();
    const service = new SecretService({ secrets, logger: silentLogger });
    this.#services.set(name, service);
    const socket = join(dirname(ads), `identity-${name}`, "sds.sock");
    this.#stack.use(await ProxySocket.open({ socket, uid: proxyUser, gid: proxyUser, services: [service] }));
    return socket;
  }

  /** Gives a proxy another certificate, and other authorities to check its peers by. */
  replace(name: string, { certificate, key }: Certificate, roots: readonly string[]): void {
    const all = [certificateSecret({ chain: certificate, key }), rootsSecret(roots)];
    this.#secrets.set(name, new Map(all.map((secret) => [secret.name, secret])));
    this.#services.get(name)?.changed();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
