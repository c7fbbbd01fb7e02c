import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Client, KindRef, ObjectName } from "#kube/client.ts";
import type { ServerAddress } from "#kube/connection.ts";
import { firstIn } from "./namespace-contents.ts";
import {
  type JoinName,
  type MemberObject,
  clusterLabel,
  managedBy,
  memberAccount,
  memberNamespace,
  memberObjects,
  memberToken,
  meshLabel,
} from "./member-objects.ts";
import { gone, removePublished } from "./published.ts";

/** Milliseconds between looks, and for which a cluster's controllers may take to do their part. */
const lookMs = 100;
const patienceMs = 30_000;

function isOurs({ metadata: { labels = {} } }: ResourceObject, { cluster, mesh }: JoinName): boolean {
  return labels[managedBy] === "weft" && labels[clusterLabel] === cluster && labels[meshLabel] === mesh;
}

/** What the mesh has in one member, made and removed with the rights of who joins it. Everything may be done again. */
export class Presence {
  readonly #client: Client;
  readonly #name: JoinName;
  readonly #clock: Clock;
  readonly #patienceMs: number;

  /** @param waitMs milliseconds for which the cluster's controllers may take to do their part. */
  constructor(client: Client, name: JoinName, clock: Clock, waitMs: number = patienceMs) {
    this.#client = client;
    this.#name = name;
    this.#clock = clock;
    this.#patienceMs = waitMs;
  }

  /** By what name, and of which mesh, the cluster is a member already; undefined where it is none. */
  async joinedAs(): Promise<JoinName | undefined> {
    const account = { namespace: memberNamespace, name: memberAccount };
    const labels = (await this.#client.of(serviceAccount).find(account))?.metadata.labels;
    const cluster = labels?.[clusterLabel];
    return cluster === undefined ? undefined : { cluster, mesh: labels?.[meshLabel] ?? "" };
  }

  /** @throws WeftError `FailedPrecondition` where something of the name is not ours. */
  async make(): Promise<void> {
    await this.#namespaceStays();
    for (const wanted of memberObjects(this.#name)) await this.#ensure(wanted);
  }

  /** Waits for a namespace that is on its way out, such as that of a cluster which has just left: nothing can be made in it. */
  async #namespaceStays(): Promise<void> {
    const until = this.#clock.monotonic() + this.#patienceMs;
    for (;;) {
      const found = await this.#client.of(namespaceKind).find({ name: memberNamespace });
      if (found?.metadata.deletionTimestamp === undefined) return;
      if (this.#clock.monotonic() > until) {
        throw new WeftError(
          "FailedPrecondition",
          `the cluster's namespace ${memberNamespace} is being deleted and does not go: its conditions say why`,
        );
      }
      await this.#clock.sleep(lookMs);
    }
  }

  async #ensure(wanted: MemberObject): Promise<void> {
    const { kind, metadata, content } = wanted;
    const objects = this.#client.of(kind);
    const found = await objects.find(nameOf(wanted));
    if (!found) {
      await objects.create({ metadata, ...content });
      return;
    }
    // A namespace may have been there before, and stays as it was.
    if (kind === namespaceKind) return;
    if (!isOurs(found, this.#name)) {
      const { name } = metadata;
      const fix = "remove it if nobody needs it, or leave that cluster first";
      throw new WeftError(
        "FailedPrecondition",
        `there is a ${kind.kind} ${name} in the cluster that this join did not make: ${fix}`,
      );
    }
    // What the cluster's own controllers add to it stays.
    await objects.patch(nameOf(wanted), { kind: "merge", body: { ...content, metadata } });
  }

  /**
   * The credentials of the control plane's account, once the cluster has made them.
   * @param address how the control plane reaches the API; its authority is the cluster's own where it has none.
   * @throws WeftError `DeadlineExceeded`.
   */
  async credentials(
    address: Pick<ServerAddress, "url" | "ca" | "serverName">,
    signal: AbortSignal,
  ): Promise<ServerAddress> {
    const until = this.#clock.monotonic() + this.#patienceMs;
    for (;;) {
      const found = await this.#client
        .of<Secret>(secretKind)
        .find({ namespace: memberNamespace, name: memberToken }, signal);
      const token = decoded(found?.data?.["token"]);
      const ca = address.ca ?? decoded(found?.data?.["ca.crt"]);
      if (token !== undefined) return { ...address, token, ...(ca !== undefined && { ca }) };
      if (this.#clock.monotonic() > until) {
        const where = `the Secret ${memberNamespace}/${memberToken}`;
        throw new WeftError(
          "DeadlineExceeded",
          `the cluster makes no token in ${where}: see whether its kube-controller-manager runs`,
        );
      }
      await this.#clock.sleep(lookMs, signal);
    }
  }

  /** Takes the control plane's rights away, and with them its access. */
  async revoke(): Promise<void> {
    for (const object of memberObjects(this.#name).toReversed()) {
      if (object.kind !== namespaceKind) await this.#removeOurs(object.kind, nameOf(object));
    }
  }

  /**
   * Removes what the control plane wrote, and the namespace where a join made it and nothing else is in it.
   * @throws WeftError `FailedPrecondition` while somebody goes on writing.
   */
  async clean(signal: AbortSignal): Promise<void> {
    const until = this.#clock.monotonic() + this.#patienceMs;
    // Who wrote may have been writing when the rights were taken away.
    while (!(await removePublished(this.#client))) {
      if (this.#clock.monotonic() > until) {
        throw new WeftError(
          "FailedPrecondition",
          `a control plane goes on writing ConfigMaps istio-ca-root-cert and istio-ca-crl into the cluster: it has rights there that no join made. Take away the account of its kubeconfig, and run the same command again`,
        );
      }
      await this.#clock.sleep(lookMs, signal);
    }
    const found = await this.#client.of(namespaceKind).find({ name: memberNamespace }, signal);
    if (found && isOurs(found, this.#name) && (await this.#isEmpty())) {
      const { uid } = found.metadata;
      await gone(this.#client.of(namespaceKind).delete({ name: memberNamespace }, { uid, signal }));
    }
  }

  /** Whether nobody else has anything in the mesh's namespace; not while some kind cannot be asked for. */
  async #isEmpty(): Promise<boolean> {
    try {
      return (await firstIn(this.#client, memberNamespace)) === undefined;
    } catch {
      return false;
    }
  }

  async #removeOurs(kind: KindRef, name: ObjectName): Promise<void> {
    const objects = this.#client.of(kind);
    const found = await objects.find(name);
    if (found && isOurs(found, this.#name)) await gone(objects.delete(name, { uid: found.metadata.uid }));
  }
}

function decoded(base64: string | undefined): string | undefined {
  return base64 === undefined || base64 === "" ? undefined : Buffer.from(base64, "base64").toString("utf8");
}

function nameOf({ metadata: { name, namespace } }: MemberObject): ObjectName {
  return namespace === undefined ? { name } : { namespace, name };
}
