import { explainContext } from "#analysis/explain/context.ts";
import { explainRequest } from "#analysis/explain/explain.ts";
import { parseRequest } from "#analysis/explain/request.ts";
import { edited, openMesh } from "#analysis/snapshot.ts";
import { WeftError } from "#base/errors.ts";
import { openApi } from "../context.ts";
import { serialize } from "../output.ts";
import { rehearsedEdit } from "./edit.ts";
import type { ExplainFlags } from "./explain.ts";
import { explanationText } from "./explain-text.ts";
import { proxiesNamed, readMesh } from "./live-mesh.ts";
import { paintFor } from "./paint.ts";

/** Shows the way of a request. */
export async function runExplain(method: string, url: string, flags: ExplainFlags): Promise<void> {
  const request = parseRequest(method, url, flags.header ?? []);
  if (typeof request === "string") throw new WeftError("InvalidArgument", request);
  using api = await openApi(flags);
  using live = await readMesh(api.client);
  const edit = await rehearsedEdit({ ...flags, filename: flags.filename ?? [] }, api, live);
  const snapshot = edited(live.snapshot, edit);
  const [proxy] = proxiesNamed(live, [flags.from]);
  if (!proxy) throw new WeftError("NotFound", `no connected proxy is named ${flags.from}`);
  const context = explainContext(openMesh(snapshot, { traced: true }), snapshot, live.proxies, proxy, Date.now());
  const explanation = explainRequest(context, request);
  const { output } = flags;
  process.stdout.write(
    output === "json" || output === "yaml"
      ? serialize(explanation, output)
      : explanationText(explanation, paintFor(process.stdout)),
  );
}
