import { type Level, levels } from "#api/message-types.ts";
import type { MeshSnapshot } from "../snapshot.ts";
import { friendlyName, type Message } from "./message.ts";
import { refKey, refOf } from "#api/meta.ts";

/** A message that is not wanted for some objects. */
export interface Suppression {
  readonly code: string;
  /** `Pod x.ns` or `Pod ns/x`; `*` stands for any text. */
  readonly resource: string;
}

/** The annotation by which an object asks not to be told of messages: their codes, or `*`. */
const suppressAnnotation = "galley.istio.io/analyze-suppress";

/** A suppression as it is written: `IST0103=Pod x.ns`; undefined for a text of another form. */
export function parseSuppression(text: string): Suppression | undefined {
  const [code = "", resource = "", ...more] = text.split("=");
  return code === "" || resource === "" || more.length > 0 ? undefined : { code, resource };
}

function pattern(glob: string): RegExp {
  return new RegExp(
    `^${glob
      .split("*")
      .map((part) => RegExp.escape(part))
      .join(".*")}$`,
  );
}

function suppressed({ type, resource }: Message, { code, resource: wanted }: Suppression): boolean {
  if (!resource || code !== type.code) return false;
  const { kind, namespace, name } = resource;
  const names = [friendlyName(resource), ...(namespace === undefined ? [] : [`${kind} ${name}.${namespace}`])];
  return names.some((each) => pattern(wanted).test(each));
}

/** Objects whose annotation names codes, by their names. */
function annotated(snapshot: MeshSnapshot): ReadonlyMap<string, readonly string[]> {
  return new Map(
    snapshot.flatMap(({ object, cluster }) => {
      const codes = object.metadata.annotations?.[suppressAnnotation];
      const list = codes?.split(",").map((code) => code.trim());
      return list === undefined ? [] : [[refKey(refOf(object, cluster)), list] as const];
    }),
  );
}

/** Kubernetes' own namespaces, and that of kind clusters for volumes: what is there is not the mesh's users' to change. */
const systemNamespaces: ReadonlySet<string> = new Set([
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
]);

/** What of all messages is wanted. */
export interface Selection {
  /** Only messages of this namespace's objects, and of objects of none; absent for all. */
  readonly namespace?: string;
  readonly suppressions: readonly Suppression[];
}

/**
 * The messages that are wanted. Those of files are wanted whatever the namespace, unless it was asked for. Those of
 * Kubernetes' own namespaces are wanted only when they are asked for.
 */
export function selected(
  messages: readonly Message[],
  snapshot: MeshSnapshot,
  { namespace, suppressions }: Selection,
): readonly Message[] {
  const quiet = annotated(snapshot);
  return messages.filter((message) => {
    const { resource, type, position } = message;
    if (!resource) return true;
    const own = resource.kind === "Namespace" ? resource.name : resource.namespace;
    if (namespace !== undefined && own !== undefined && own !== namespace && !position) return false;
    if (own !== undefined && own !== namespace && systemNamespaces.has(own)) return false;
    const codes = quiet.get(refKey(resource)) ?? [];
    if (codes.includes("*") || codes.includes(type.code)) return false;
    return !suppressions.some((each) => suppressed(message, each));
  });
}

/** Whether a message is at least as bad as a level. */
export function isAtLeast({ type }: Message, level: Level): boolean {
  return levels.indexOf(type.level) <= levels.indexOf(level);
}
