import type { Command } from "commander";
import { WeftError } from "#base/errors.ts";
import { type ApiFlags, openApi, withApiFlags } from "./context.ts";
import { type OutputFormat, outputOption, serialize } from "./output.ts";
import { apiResources, resourceNamed, resourcePath } from "./resources.ts";
import { table } from "./table.ts";

interface GetFlags extends ApiFlags {
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly output: OutputFormat;
  readonly showManagedFields?: boolean;
}

interface Table {
  readonly columnDefinitions: readonly { readonly name: string; readonly type: string; readonly priority: number }[];
  readonly rows: readonly {
    readonly cells: readonly (string | number | null)[];
    readonly object: { readonly metadata: { readonly name: string; readonly namespace?: string } };
  }[];
}

const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

function cellText(cell: string | number | null | undefined): string {
  return cell === null || cell === undefined ? "<none>" : String(cell);
}

/** A server's table as text; a namespace column where several are listed. */
export function tableText(answer: Table, wide: boolean, withNamespace: boolean): string {
  const shown = answer.columnDefinitions
    .map((column, at) => ({ column, at }))
    .filter(({ column }) => wide || column.priority === 0);
  const header = shown.map(({ column }) => column.name.toUpperCase());
  const rows = answer.rows.map((row) => {
    const cells = shown.map(({ at }) => cellText(row.cells[at]));
    return withNamespace ? [row.object.metadata.namespace ?? "", ...cells] : cells;
  });
  return table(withNamespace ? ["NAMESPACE", ...header] : header, rows);
}

/** An object, or a list of them, as the API answers it. */
interface Shown {
  readonly metadata?: { readonly managedFields?: unknown };
  readonly items?: readonly Shown[];
}

/** Who set which field is seldom asked, and longer than the object. */
function withoutManagers(shown: Shown): Shown {
  const { metadata, items } = shown;
  if (items !== undefined) return { ...shown, items: items.map(withoutManagers) };
  const { managedFields: _, ...rest } = metadata ?? {};
  return { ...shown, metadata: rest };
}

async function get(kind: string, names: readonly string[], flags: GetFlags): Promise<string> {
  using api = await openApi(flags);
  const resource = resourceNamed(await apiResources(api.client), kind);
  const everywhere = flags.allNamespaces === true;
  const namespace = everywhere ? undefined : (flags.namespace ?? api.namespace);
  const query = { labelSelector: flags.selector };
  if (flags.output === "table" || flags.output === "wide") {
    const paths =
      names.length > 0
        ? names.map((name) => resourcePath(resource, namespace, name))
        : [resourcePath(resource, namespace)];
    const tables = await Promise.all(
      paths.map(async (path) => api.client.json<Table>({ method: "GET", path, query, accept: asTable })),
    );
    const [first] = tables;
    if (!first || tables.every((one) => one.rows.length === 0)) {
      return resource.namespaced && namespace !== undefined
        ? `No resources found in ${namespace} namespace.\n`
        : "No resources found\n";
    }
    const answer = { ...first, rows: tables.flatMap((one) => one.rows) };
    return tableText(answer, flags.output === "wide", everywhere && resource.namespaced);
  }
  const objects = await Promise.all(
    (names.length > 0 ? names : [undefined]).map(async (name) =>
      api.client.json<Shown>({ method: "GET", path: resourcePath(resource, namespace, name), query }),
    ),
  );
  const shown = flags.showManagedFields === true ? objects : objects.map(withoutManagers);
  const data = shown.length === 1 ? shown[0] : { apiVersion: "v1", kind: "List", items: shown };
  if (flags.output === "name") throw new WeftError("InvalidArgument", "-o name is not one of get's formats");
  return serialize(data, flags.output);
}

/** `weft get`: objects of a kind, where kubectl is absent. */
export function getCommand(program: Command): void {
  withApiFlags(program.command("get"))
    .summary("show objects of a kind")
    .description("Shows objects of a kind, as kubectl get does.")
    .argument("<kind>", "kind, plural or short name, such as virtualservices or vs")
    .argument("[name...]", "names; all unless given")
    .option("-n, --namespace <name>", "namespace; the kubeconfig's unless given")
    .option("-A, --all-namespaces", "every namespace")
    .option("-l, --selector <labels>", "label selector, such as app=reviews")
    .addOption(outputOption(["table", "wide", "json", "yaml"]))
    .option("--show-managed-fields", "with -o json or yaml, show who set which field")
    .addHelpText(
      "after",
      "\nExamples:\n  weft get virtualservices -n shop\n  weft get vs reviews -n shop -o yaml\n  weft get pods -A --kubeconfig east.yaml",
    )
    .action(async (kind: string, names: readonly string[], flags: GetFlags) => {
      process.stdout.write(await get(kind, names, flags));
    });
}
