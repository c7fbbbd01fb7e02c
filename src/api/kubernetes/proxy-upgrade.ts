/** The annotation of a Pod by which it is asked for a version of Envoy, such as `1.40.0`, without a restart of the Pod. */
export const envoyAnnotation = "sidecar.weft.dev/envoy";

/** The annotation of a Pod by which its proxy is asked to begin anew, with the settings of now, whenever its value changes. */
export const renewAnnotation = "sidecar.weft.dev/renew";

/**
 * The condition in which an agent tells how far the replacement of a Pod's proxy is: True once the proxy that was asked for serves and
 * the one before has ended.
 */
export const upgradeCondition = "mesh.weft.dev/ProxyUpgraded";

/** How far a proxy is with what was asked of it. */
export type UpgradePhase = "Starting" | "Draining" | "Upgraded" | "Refused" | "Failed";

/** How a proxy's replacement went, or why there is none. */
export interface ProxyUpgrade {
  readonly phase: UpgradePhase;
  /** What was asked for: `askedOf` of the Pod's annotations. */
  readonly asked: string;
  /** The version that serves. */
  readonly serves: string;
  /** The version before, where it was replaced. */
  readonly before?: string;
  /** Milliseconds from the new process's start until it served. */
  readonly tookMs?: number;
  /** Connections that the process before had when it was replaced. */
  readonly connections?: number;
  /** How many of them had not ended by themselves when that process ended. */
  readonly cut?: number;
  /** What went wrong, for people. */
  readonly problem?: string;
}

/** What a Pod asks of its proxy, as one text; undefined where it asks for nothing. */
export function askedOf(annotations: Readonly<Record<string, string>> = {}): string | undefined {
  const { [envoyAnnotation]: version = "", [renewAnnotation]: renew = "" } = annotations;
  if (version === "" && renew === "") return undefined;
  return renew === "" ? version : `${version}+${renew}`;
}

/** What the condition says of it, for people and for `readUpgrade`. */
export function upgradeMessage(upgrade: ProxyUpgrade): string {
  const { asked, serves, before, tookMs, connections, cut, problem } = upgrade;
  const parts = [
    `asked for ${asked}`,
    `${serves} serves`,
    before === undefined ? "" : `${before} before`,
    tookMs === undefined ? "" : `taken over in ${tookMs} ms`,
    connections === undefined ? "" : `${connections} connections`,
    cut === undefined ? "" : `${cut} cut`,
    problem === undefined ? "" : `problem: ${problem}`,
  ];
  return parts.filter((part) => part !== "").join("; ");
}

const form =
  /^asked for (\S+); (\S+) serves(?:; (\S+) before)?(?:; taken over in (\d+) ms)?(?:; (\d+) connections)?(?:; (\d+) cut)?(?:; problem: (.*))?$/s;
const phases: readonly string[] = ["Starting", "Draining", "Upgraded", "Refused", "Failed"] satisfies UpgradePhase[];

/** Reads the condition; undefined for what is none. */
export function readUpgrade({
  reason = "",
  message = "",
}: {
  reason?: string;
  message?: string;
}): ProxyUpgrade | undefined {
  const [, asked, serves, before, tookMs, connections, cut, problem] = form.exec(message) ?? [];
  if (!phases.includes(reason) || asked === undefined || serves === undefined) return undefined;
  return {
    phase: reason as UpgradePhase,
    asked,
    serves,
    ...(before !== undefined && { before }),
    ...(tookMs !== undefined && { tookMs: Number(tookMs) }),
    ...(connections !== undefined && { connections: Number(connections) }),
    ...(cut !== undefined && { cut: Number(cut) }),
    ...(problem !== undefined && { problem }),
  };
}
