import { analyze } from "#analysis/analyze/analyze.ts";
import type { Analyzer } from "#analysis/analyze/analyzer.ts";
import { analyzers } from "#analysis/analyze/analyzers.ts";
import type { Message } from "#analysis/analyze/message.ts";
import { isAtLeast, parseSuppression, selected, type Suppression } from "#analysis/analyze/selection.ts";
import type { MeshSnapshot } from "#analysis/snapshot.ts";
import { kinds } from "#api/kinds.ts";
import { deployment } from "#api/kubernetes/deployment.ts";
import { secret } from "#api/kubernetes/secret.ts";
import { messageTypes } from "#api/message-types.ts";
import { Validator } from "#api/validation.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import { clusterKinds } from "#sources/members/cluster.ts";
import { credentialKinds } from "#sources/mesh.ts";
import type { Client } from "#kube/client.ts";
import { openApi } from "../context.ts";
import { listFindings } from "../proxy/findings.ts";
import { serialize } from "../output.ts";
import type { AnalyzeFlags } from "./analyze.ts";
import { loadFiles } from "./analyze-files.ts";
import { analyzersText, fixText, logText, messageData, messageTable } from "./analyze-text.ts";
import { clusterMissing, readObjects } from "./live-mesh.ts";
import { paintLevel } from "./paint.ts";

/** Exit codes of `istioctl analyze`. */
const exitCodes = { issues: 79, unreadable: 65 } as const;

/** The one cluster that files alone are taken to be of; Istio's default name. */
const onlyCluster = "Kubernetes";

/** The objects to look at. */
interface Material {
  readonly snapshot: MeshSnapshot;
  readonly live: boolean;
  readonly files: ReturnType<typeof loadFiles>;
  /** The namespace that the API's context means. */
  readonly namespace: string;
  readonly clusters: readonly string[];
}

function skipped(file: string): void {
  console.error(`Skipping file ${file}: the names of files end with .json, .yaml or .yml`);
}

const validator = new Validator();

function loaded(paths: readonly string[], namespace: string, cluster: string): Material["files"] {
  const options = { namespace, cluster, created: new Date().toISOString(), validator };
  return loadFiles(paths, options, skipped);
}

/** The cluster that Services and the like of files belong to. */
function clusterOfFiles(clusters: readonly string[], wanted: string | undefined): string {
  const [first] = clusters;
  if (wanted !== undefined && !clusters.includes(wanted)) {
    throw new WeftError("NotFound", `the mesh has no cluster ${wanted}; it has ${clusters.join(", ")}`);
  }
  return wanted ?? first ?? onlyCluster;
}

const readKinds = {
  own: [
    ...kinds.filter(({ group }) => group.endsWith(".istio.io") || group === "gateway.networking.k8s.io"),
    ...credentialKinds,
  ],
  cluster: [...clusterKinds, secret, deployment],
};

/** What the control plane says of proxies. Objects can be analyzed while it is away. */
async function proxyFindings(client: Client): Promise<MeshSnapshot> {
  try {
    return (await listFindings(client)).map((object) => ({ object, cluster: "" }));
  } catch (error) {
    if (codeOf(error) === "Unavailable") {
      console.error(`Warning: nothing is known of how proxies behave: ${messageOf(error)}`);
    } else if (codeOf(error) !== "NotFound") throw error;
    return [];
  }
}

async function liveMaterial(paths: readonly string[], flags: AnalyzeFlags): Promise<Material> {
  using api = await openApi(flags);
  using live = await readObjects(api.client, readKinds);
  const { clusters } = live;
  const snapshot = [...live.snapshot, ...(await proxyFindings(api.client))];
  const namespace = flags.namespace ?? api.namespace;
  const files = loaded(paths, namespace, clusterOfFiles(clusters, flags.cluster));
  const ambiguous = files.objects.find(({ cluster }) => cluster !== "");
  if (ambiguous && flags.cluster === undefined && clusters.length > 1) {
    const { kind, name } = ambiguous.ref;
    throw clusterMissing(kind, name, clusters);
  }
  return { snapshot, live: true, files, namespace, clusters };
}

function offlineMaterial(paths: readonly string[], flags: AnalyzeFlags): Material {
  if (paths.length === 0) throw new WeftError("InvalidArgument", "without a mesh there must be files to analyze");
  const namespace = flags.namespace ?? "default";
  const files = loaded(paths, namespace, flags.cluster ?? onlyCluster);
  return { snapshot: [], live: false, files, namespace, clusters: [flags.cluster ?? onlyCluster] };
}

function suppressions(texts: readonly string[]): readonly Suppression[] {
  return texts.map((text) => {
    const suppression = parseSuppression(text);
    if (!suppression) {
      throw new WeftError("InvalidArgument", `${text} is no suppression: write CODE=KIND NAME.NAMESPACE`);
    }
    if (!messageTypes.some(({ code }) => code === suppression.code)) {
      console.error(`Warning: there is no message ${suppression.code}; its suppression has no effect.`);
    }
    return suppression;
  });
}

function wantedAnalyzers(names: readonly string[]): readonly Analyzer[] {
  if (names.length === 0) return analyzers.filter(({ onRequest }) => onRequest !== true);
  return names.map((name) => {
    const found = analyzers.find((each) => each.name === name);
    if (found) return found;
    throw new WeftError("InvalidArgument", `there is no analyzer ${name}; see weft analyze --list-analyzers`);
  });
}

/** What is said on success, to people. */
function fineText({ files: { files } }: Material, scope: string): string {
  const what = files.length > 1 ? `:\n  - ${files.join("\n  - ")}` : ` ${files[0] ?? scope}.`;
  return `✔ No validation issues found when analyzing${what}`;
}

/** The message of what cannot be read at all, which ends with an error of its own. */
const unreadable = "InvalidYAML";

function print(messages: readonly Message[], material: Material, { output, fix }: AnalyzeFlags): string {
  if (output === "json" || output === "yaml") return serialize(messageData(messages), output);
  if (fix === true) return fixText(messages);
  const paint = paintLevel(process.stdout);
  return output === "table" ? messageTable(messages, paint) : logText(messages, paint, material.clusters.length > 1);
}

function exitCode(messages: readonly Message[], flags: AnalyzeFlags): number {
  // As istioctl: programs that read the messages themselves get no error beside them.
  if (flags.output === "json" || flags.output === "yaml") return 0;
  const [broken, read] = [true, false].map((is) => messages.filter(({ type }) => (type.code === unreadable) === is));
  if (read?.some((message) => isAtLeast(message, flags.failureThreshold))) return exitCodes.issues;
  return broken?.length === 0 || flags.ignoreUnknown === true ? 0 : exitCodes.unreadable;
}

/** Analyzes the mesh, or files. */
export async function runAnalyze(args: readonly string[], flags: AnalyzeFlags): Promise<void> {
  if (flags.listAnalyzers === true) {
    process.stdout.write(analyzersText(analyzers));
    return;
  }
  const { useKube } = flags;
  // A word after --use-kube is a file unless it is the flag's value.
  const paths = typeof useKube === "string" && !["true", "false"].includes(useKube) ? [useKube, ...args] : args;
  const wanted = { suppressions: suppressions(flags.suppress), analyzers: wantedAnalyzers(flags.analyzer) };
  const material = useKube === "false" ? offlineMaterial(paths, flags) : await liveMaterial(paths, flags);
  const { snapshot, live, files } = material;
  const all = analyze({ snapshot, live, files, analyzers: wanted.analyzers, validator, now: Date.now() });
  const namespace = flags.allNamespaces === true ? undefined : material.namespace;
  const messages = selected(all, [...snapshot, ...files.objects], {
    ...(namespace !== undefined && { namespace }),
    suppressions: wanted.suppressions,
  });
  const shown = messages.filter((message) => isAtLeast(message, flags.outputThreshold));
  process.stdout.write(print(shown, material, flags));
  if (shown.length === 0 && flags.output === "log") {
    console.error(fineText(material, namespace === undefined ? "all namespaces" : `namespace ${namespace}`));
  }
  if (flags.fix === true && flags.output === "log") {
    console.error(`${shown.filter(({ fix }) => fix !== undefined).length} of ${shown.length} messages have a repair.`);
  }
  process.exitCode = exitCode(messages, flags);
}
