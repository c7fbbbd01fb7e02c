/** All objects of a cluster but for what comes and goes by itself, as `KIND NAMESPACE/NAME`. @param kubectl of that cluster. */
export async function inventoryOf(
  kubectl: (line: string | readonly string[]) => Promise<string>,
): Promise<readonly string[]> {
  const names = (await kubectl("api-resources --verbs=list -o name")).split("\n");
  const passing = /^(events|leases|endpointslices|endpoints|componentstatuses|ipaddresses)(\.|$)/;
  const kinds = names.filter((name) => !passing.test(name)).join(",");
  const row = "{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{'\\n'}{end}".replaceAll("'", '"');
  return (await kubectl(["get", kinds, "-A", "-o", `jsonpath=${row}`])).split("\n").toSorted();
}
