import type { MeshDiff, MeshProxy, ResourceChange } from "#analysis/diff.ts";
import type { Finding } from "#api/finding.ts";
import { refText } from "#api/meta.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { table } from "../table.ts";
import { type Paint, patchText } from "./patch-text.ts";
import { discoveryNames } from "./resource-text.ts";

/** How a diff is shown. */
export interface DiffView {
  readonly yaml: (resource: EncodedResource) => string;
  readonly paint: Paint;
  /** How much: who would change; also the lines of what changes; also what is added or removed, line by line. */
  readonly detail: "summary" | "changes" | "full";
}

const order = Object.keys(discoveryNames) as readonly ResourceChange["type"][];

function verb({ before, after }: ResourceChange): string {
  return before === undefined ? "added" : after === undefined ? "removed" : "changed";
}

function names(proxies: readonly MeshProxy[], total: number): string {
  if (proxies.length === total) return total === 1 ? "the proxy" : `all ${total} proxies`;
  const most = 3;
  const all = proxies.map(({ name, cluster }) => `${name} (${cluster})`).toSorted();
  const shown = all.slice(0, most);
  return all.length > most ? `${shown.join(", ")} and ${all.length - most} more` : shown.join(", ");
}

function changeText(change: ResourceChange, total: number, { yaml, paint, detail }: DiffView): string {
  const { type, name, proxies, before, after } = change;
  const head = `${discoveryNames[type]} ${name} is ${verb(change)} for ${names(proxies, total)}\n`;
  if (detail === "summary" || (detail === "changes" && !(before && after))) return head;
  return `${head}${patchText(before ? yaml(before) : "", after ? yaml(after) : "", paint)}\n`;
}

/** `+1 -2 ~3`: added, removed, changed; a dash where nothing is. */
function counts(changes: readonly ResourceChange[]): string {
  const signs = { added: "+", removed: "-", changed: "~" } as const;
  const parts = Object.entries(signs).flatMap(([kind, sign]) => {
    const count = changes.filter((change) => verb(change) === kind).length;
    return count === 0 ? [] : [`${sign}${count}`];
  });
  return parts.length === 0 ? "-" : parts.join(" ");
}

function summaryTable(changes: readonly ResourceChange[]): string {
  const proxies = [...new Set(changes.flatMap((change) => change.proxies))];
  const rows = proxies
    .toSorted((a, b) => `${a.name} ${a.cluster}`.localeCompare(`${b.name} ${b.cluster}`))
    .map((proxy) => {
      const own = changes.filter((change) => change.proxies.includes(proxy));
      return [proxy.name, proxy.cluster, ...order.map((type) => counts(own.filter((each) => each.type === type)))];
    });
  return table(
    ["PROXY", "CLUSTER", "LISTENERS", "ROUTES", "CLUSTERS", "ENDPOINTS", "SECRETS", "EXTENSIONS", "NAMES"],
    rows,
  );
}

function findingText(sign: string, { severity, code, resource, field, message }: Finding): string {
  const at = field === undefined ? "" : ` ${field}`;
  return `${sign} ${severity} ${code}: ${refText(resource)}${at}: ${message}\n`;
}

function findingsText({ newFindings, solvedFindings }: MeshDiff, { added, removed }: Paint): string {
  const lines = [
    ...newFindings.map((each) => added(findingText("+", each).trimEnd())),
    ...solvedFindings.map((each) => removed(findingText("-", each).trimEnd())),
  ];
  return lines.length === 0 ? "" : `\nFindings\n${lines.map((line) => `${line}\n`).join("")}`;
}

/** A diff for people: what would change and for whom, then a line for each proxy, then findings. */
export function diffText(diff: MeshDiff, proxies: number, view: DiffView): string {
  const { changes } = diff;
  if (changes.length === 0) return `No proxy would change (of ${proxies}).\n${findingsText(diff, view.paint)}`;
  const affected = new Set(changes.flatMap((change) => change.proxies)).size;
  const sorted = changes.toSorted(
    (a, b) => order.indexOf(a.type) - order.indexOf(b.type) || a.name.localeCompare(b.name),
  );
  const body = sorted.map((change) => changeText(change, proxies, view)).join("");
  return `${body.trimEnd()}\n\n${affected} of ${proxies} proxies would change (+ added, - removed, ~ changed).\n${summaryTable(changes)}${findingsText(diff, view.paint)}`;
}

/** A diff for programs. */
export function diffData(diff: MeshDiff, json: (resource: EncodedResource) => object): object {
  return {
    changes: diff.changes.map(({ type, name, proxies, before, after }) => ({
      type: discoveryNames[type],
      name,
      proxies: proxies.map((proxy) => ({ proxy: proxy.name, cluster: proxy.cluster })),
      ...(before && { before: json(before) }),
      ...(after && { after: json(after) }),
    })),
    newFindings: diff.newFindings,
    solvedFindings: diff.solvedFindings,
  };
}
