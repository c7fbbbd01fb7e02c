import type { Mount } from "#runtime/process.ts";

/** Where the processes of a Pod are, as whoever runs the Pod made it. Its proxy is started there. */
export interface PodSite {
  /** File of the Pod's network namespace. */
  readonly network: string;
  /** The Pod's host name; that of the node unless told. */
  readonly hostname?: string;
  /** Files by which its proxy enters the Pod's control groups; the agent's own groups unless told. */
  readonly groups?: readonly string[];
  /** Files of the host that its processes see in place of others. */
  readonly mounts: readonly Mount[];
}
