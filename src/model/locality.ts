import type { StringMap } from "#api/meta.ts";

/** Where a workload runs; what is unknown is empty. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** The parts of a locality such as `region/zone/subzone`; what follows them is passed over, as in Istio. */
export function parseLocality(text: string): Locality {
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
}

/** The locality that a workload's own labels tell, in which dots may stand for slashes; undefined where they tell none. */
export function labelledLocality(labels: StringMap): Locality | undefined {
  const text = labels["topology.istio.io/locality"] ?? labels["istio-locality"] ?? "";
  if (text === "") return undefined;
  return parseLocality(text.includes("/") ? text : text.replaceAll(".", "/"));
}
