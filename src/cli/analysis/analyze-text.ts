import type { Analyzer } from "#analysis/analyze/analyzer.ts";
import type { Position } from "#analysis/analyze/document.ts";
import { friendlyName, type Message } from "#analysis/analyze/message.ts";
import { kindOf } from "#api/kinds.ts";
import { documentationUrl, type Level } from "#api/message-types.ts";
import type { ObjectRef } from "#api/meta.ts";
import { table } from "../table.ts";

/** Colours a level. */
export type PaintLevel = (level: Level) => string;

function placeText({ file, line }: Position): string {
  return `${file}:${line}`;
}

/** `VirtualService shop/x file.yaml:12`, as much of it as there is. */
function originText({ resource, position }: Message): string {
  const words = [...(resource ? [friendlyName(resource)] : []), ...(position ? [placeText(position)] : [])];
  return words.join(" ");
}

/**
 * A line for each message, as `istioctl analyze` prints them.
 * @param severalClusters whether objects of clusters say of which.
 */
export function logText(messages: readonly Message[], paint: PaintLevel, severalClusters: boolean): string {
  return messages
    .map((message) => {
      const { type, resource } = message;
      const cluster = resource?.cluster;
      const where = severalClusters && cluster !== undefined ? ` [cluster-${cluster}]` : "";
      return `${paint(type.level)} [${type.code}]${where} (${originText(message)}) ${message.message}\n`;
    })
    .join("");
}

/** A table for people. */
export function messageTable(messages: readonly Message[], paint: PaintLevel): string {
  return table(
    ["LEVEL", "CODE", "OBJECT", "CLUSTER", "PLACE", "MESSAGE"],
    messages.map(({ type, resource, position, message }) => [
      paint(type.level),
      type.code,
      resource ? friendlyName(resource) : "-",
      resource?.cluster ?? "-",
      position ? placeText(position) : "-",
      message,
    ]),
  );
}

/** Messages for programs: the members that `istioctl analyze` has, then ours. */
export function messageData(messages: readonly Message[]): readonly object[] {
  return messages.map(({ type, resource, field, message, position, fix }) => ({
    code: type.code,
    documentationUrl: documentationUrl(type),
    level: type.level,
    message,
    ...(resource && { origin: friendlyName(resource) }),
    ...(position && { reference: placeText(position) }),
    ...(resource?.cluster !== undefined && { cluster: resource.cluster }),
    name: type.name,
    ...(field !== undefined && { field }),
    ...(position && { line: position.line, column: position.column }),
    ...(fix && { fix }),
  }));
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function patchCommand({ group, kind, namespace, name, cluster }: ObjectRef, patch: unknown): string {
  const plural = kindOf(group, kind)?.plural ?? kind.toLowerCase();
  const words = [
    "kubectl patch",
    group === "" ? plural : `${plural}.${group}`,
    name,
    ...(namespace === undefined ? [] : [`-n ${namespace}`]),
    "--type=json",
    `-p ${quoted(JSON.stringify(patch))}`,
  ];
  return `${words.join(" ")}${cluster === undefined ? "" : `  # cluster ${cluster}`}`;
}

/** The message of objects that the API would refuse. */
const refusedCode = "IST0106";

/** The commands that would repair what can be repaired, each below what it does. Nothing is applied. */
export function fixText(messages: readonly Message[]): string {
  return messages
    .flatMap((message) => {
      const { type, resource, fix } = message;
      if (!resource || !fix) return [];
      const head = `# ${type.code} (${originText(message)}) ${fix.text}\n`;
      // What the API refuses is not there to be patched: the file is to be changed.
      if (type.code === refusedCode) return [`${head}# In the file: ${JSON.stringify(fix.patch)}\n`];
      return [`${head}${patchCommand(resource, fix.patch)}\n`];
    })
    .join("");
}

/** The analyzers and what they look for, as `istioctl analyze --list-analyzers` prints them. */
export function analyzersText(analyzers: readonly Analyzer[]): string {
  return analyzers
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, description }) => `* ${name}:\n    ${description}\n`)
    .join("");
}
