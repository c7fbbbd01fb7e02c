import type { Client } from "#kube/client.ts";
import type { Audience } from "../feed.ts";

/** What is done with members beside the model. */
export interface Companion {
  /** Who is told of a member's objects, as they are kept: without what `trim.ts` leaves out. */
  audience(cluster: string): Audience;
  /** Goes on for as long as the cluster is a member. */
  follow(cluster: string, client: Client, signal: AbortSignal): Promise<void>;
  /** All that was told of the cluster is forgotten: it is a member no more, or is told anew. */
  left(cluster: string): void;
}

/** Several as one. */
export function together(...all: readonly Companion[]): Companion {
  return {
    audience: (cluster) => {
      const audiences = all.map((each) => each.audience(cluster));
      return {
        seen: (object) => audiences.forEach((each) => each.seen(object)),
        gone: (object) => audiences.forEach((each) => each.gone(object)),
      };
    },
    follow: async (cluster, client, signal) => {
      await Promise.all(all.map(async (each) => each.follow(cluster, client, signal)));
    },
    left: (cluster) => all.forEach((each) => each.left(cluster)),
  };
}
