import type { Clock } from "#base/clock.ts";
import { serveHere } from "#runtime/own-socket.ts";
import { HostForwarder } from "../dns/forwarder.ts";
import { DnsServer } from "../dns/server.ts";
import { dnsPort, maxOfProxy, proxyDnsPort } from "../dns/service.ts";
import { LookupTable, type NameEntry, type Place } from "../dns/table.ts";

/** The name servers of one Pod, in its own container: what its programs ask where DNS is captured, and what its proxy asks. */
export class SidecarNames implements Disposable {
  readonly #place: Place;
  readonly #programs: DnsServer;
  readonly #owned: DisposableStack;

  private constructor(place: Place, programs: DnsServer, owned: DisposableStack) {
    this.#place = place;
    this.#programs = programs;
    this.#owned = owned;
  }

  /**
   * Opens them.
   * @param servers name servers of the Pod, which know all other names.
   * @throws WeftError `Unavailable` where a port is taken.
   */
  static async serve(place: Place, servers: readonly string[], clock: Clock): Promise<SidecarNames> {
    using owned = new DisposableStack();
    const forwarder = owned.use(new HostForwarder(undefined, servers, clock));
    const programs = owned.use(new DnsServer(await serveHere({ host: "127.0.0.1", port: dnsPort }), forwarder));
    const proxy = owned.use(
      new DnsServer(await serveHere({ host: "127.0.0.1", port: proxyDnsPort }), forwarder, maxOfProxy),
    );
    const empty = new LookupTable({}, place);
    programs.setTable(empty);
    proxy.setTable(empty);
    return new SidecarNames(place, programs, owned.move());
  }

  /** Takes the mesh's names. */
  setHosts(hosts: Readonly<Record<string, NameEntry>>): void {
    this.#programs.setTable(new LookupTable(hosts, this.#place));
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
