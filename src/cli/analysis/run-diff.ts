import { stringify } from "yaml";
import { diffMesh } from "#analysis/diff.ts";
import { openMesh } from "#analysis/snapshot.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { loadRegistry } from "#proto/registry.ts";
import { openApi } from "../context.ts";
import { serialize } from "../output.ts";
import type { DiffFlags } from "./diff.ts";
import { diffData, diffText } from "./diff-text.ts";
import { rehearsedEdit } from "./edit.ts";
import { proxiesNamed, readMesh } from "./live-mesh.ts";
import { paintFor } from "./paint.ts";
import { resourceJson } from "./resource-text.ts";

/** Shows what the objects of files would change. */
export async function runDiff(flags: DiffFlags): Promise<void> {
  using api = await openApi(flags);
  using live = await readMesh(api.client);
  const edit = await rehearsedEdit(flags, api, live);
  const proxies = flags.proxy === undefined ? live.proxies : proxiesNamed(live, flags.proxy);
  const diff = diffMesh(openMesh(live.snapshot), live.snapshot, proxies, edit);
  const registry = loadRegistry();
  const json = (resource: EncodedResource): object => resourceJson(resource, registry);
  const { output } = flags;
  const text =
    output === "json" || output === "yaml"
      ? serialize(diffData(diff, json), output)
      : diffText(diff, proxies.length, {
          yaml: (resource) => stringify(json(resource), { lineWidth: 0, aliasDuplicateObjects: false }),
          paint: paintFor(process.stdout),
          detail: flags.summary === true ? "summary" : flags.full === true ? "full" : "changes",
        });
  process.stdout.write(text);
  if (diff.changes.length > 0) process.exitCode = 1;
}
