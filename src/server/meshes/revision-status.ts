import { readReport, type RevisionReport } from "#api/weft/revision-report.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";

/** A proxy of a revision. */
export interface RevisionProxy {
  /** NAMESPACE/NAME. */
  readonly proxy: string;
  /** It has acknowledged the newest of every type. */
  readonly synced: boolean;
  /** The states of types that are not. */
  readonly state: string;
}

interface ProxyObject {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly status: {
    readonly connected?: boolean;
    readonly types: Readonly<Record<string, { readonly state: string }>>;
  };
}

/** What a revision of a control plane tells of its proxies, on its socket. */
export class RevisionStatus implements Disposable {
  readonly #client: Client;

  constructor(socket: string, clock: Clock) {
    this.#client = new Client(new Connection({ url: `unix://${socket}` }, { clock }));
  }

  /** Whether it serves proxies: before that it tells nothing. */
  async serves(): Promise<boolean> {
    try {
      await this.proxies();
      return true;
    } catch (error) {
      if (codeOf(error) === "Internal") throw error;
      return false;
    }
  }

  /** The proxies that are connected. */
  async proxies(): Promise<readonly RevisionProxy[]> {
    const path = "/apis/status.mesh.weft.dev/v1alpha1/proxies";
    const list = await this.#client.json<{ readonly items: readonly ProxyObject[] }>({
      method: "GET",
      path,
      timeoutMs: 2000,
    });
    const connected = list.items.filter(({ status }) => status.connected !== false);
    return connected.map(({ metadata: { namespace, name }, status }) => {
      const behind = Object.values(status.types).filter(({ state }) => state !== "SYNCED");
      const state = [...new Set(behind.map((type) => type.state))].join(", ");
      return { proxy: `${namespace}/${name}`, synced: behind.length === 0, state };
    });
  }

  /** What it tells of itself to who upgrades; undefined where it does not, as earlier versions. */
  async report(): Promise<RevisionReport | undefined> {
    try {
      const body = await this.#client.bytes({ method: "GET", path: "/revision", timeoutMs: 2000 });
      return readReport(body.toString("utf8"));
    } catch (error) {
      if (codeOf(error) === "NotFound") return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#client.connection[Symbol.dispose]();
  }
}
