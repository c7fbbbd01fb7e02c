import { stringify } from "yaml";
import type { Explanation, ReachedCluster, ReachedEndpoint, Reason, Step } from "#analysis/explain/explanation.ts";
import { authority } from "#analysis/explain/request.ts";
import { refText } from "#api/meta.ts";
import type { Paint } from "./patch-text.ts";

/** How much of a field is shown. */
const valueLength = 90;

/** A field's value on one line, as YAML. */
function valueText(value: unknown): string {
  const flow = stringify(value, { collectionStyle: "flow", lineWidth: 0, flowCollectionPadding: true }).trim();
  return flow.length > valueLength ? `${flow.slice(0, valueLength)}...` : flow;
}

function reasonText({ ref, field, value }: Reason): string {
  const at = field === "" ? "" : `  ${field}`;
  return `${refText(ref)}${at}${value === undefined ? "" : `: ${valueText(value)}`}`;
}

const indent = " ".repeat(14);

function labelled(label: string, text: string, because: readonly Reason[], paint: Paint): string {
  const reasons = because.map((each) => `${indent}${paint.place(`by ${reasonText(each)}`)}\n`);
  return `${label.padEnd(indent.length)}${text}\n${reasons.join("")}`;
}

function stepText({ name, resource, text, because }: Step, paint: Paint): string {
  const shown = resource === undefined || name === "route" ? text : `${resource}: ${text}`;
  return labelled(name === "note" ? "" : name, shown, because, paint);
}

function policyText({ text, because }: Step, paint: Paint): string {
  const reasons = because.map((each) => `${indent}      ${paint.place(`by ${reasonText(each)}`)}\n`);
  return `${indent}    ${text}\n${reasons.join("")}`;
}

function endpointText(endpoint: ReachedEndpoint, paint: Paint): string {
  const { address, pod, locality, priority, healthy, inbound, policies = [] } = endpoint;
  const words = [
    pod && `${pod.name} (${pod.cluster})`,
    locality,
    priority > 0 ? `only if others fail (priority ${priority})` : "",
    healthy ? "" : "not healthy",
  ].filter((word) => (word ?? "") !== "");
  const inner = inbound === undefined ? "" : `\n${indent}    ${inbound}`;
  const decided = policies.map((each) => policyText(each, paint)).join("");
  return `${indent}  ${address.padEnd(22)}${words.join(", ")}${inner}\n${decided}`;
}

/** A share as a percentage with as many digits as it needs. */
function shareText(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

function clusterText({ cluster, share, text, because, endpoints }: ReachedCluster, paint: Paint): string {
  const said = [share < 1 ? shareText(share) : "", cluster, text].filter((word) => word !== "").join("  ");
  return labelled("cluster", said, because, paint) + endpoints.map((each) => endpointText(each, paint)).join("");
}

/** An explanation for people: a line for each thing that was decided, and below it what decided it. */
export function explanationText(explanation: Explanation, paint: Paint): string {
  const { request, proxy, cluster, steps, destinations } = explanation;
  const { method, scheme, path } = request;
  const head = `${method} ${scheme}://${authority(request)}${path} from ${proxy} (${cluster})\n\n`;
  return (
    head +
    steps.map((each) => stepText(each, paint)).join("") +
    destinations.map((each) => clusterText(each, paint)).join("")
  );
}
