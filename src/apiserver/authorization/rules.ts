import type { PolicyRule } from "#api/kubernetes/rbac.ts";
import type { Attributes, ResourceAttributes } from "./attributes.ts";

function includes(list: readonly string[] | undefined, value: string): boolean {
  return list?.some((one) => one === "*" || one === value) ?? false;
}

/** `pods` is Pods alone, `pods/log` that subresource, and `*` followed by `/scale` that subresource of anything. */
function resourceMatches(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  const full = subresource === "" ? resource : `${resource}/${subresource}`;
  return includes(resources, full) || (subresource !== "" && (resources?.includes(`*/${subresource}`) ?? false));
}

function pathMatches(urls: readonly string[] | undefined, path: string): boolean {
  return (
    urls?.some((url) => url === "*" || url === path || (url.endsWith("*") && path.startsWith(url.slice(0, -1)))) ??
    false
  );
}

function nameMatches(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.length === 0 || names.includes(name);
}

function allowsResource(rule: PolicyRule, { group, resource, subresource, name }: ResourceAttributes): boolean {
  return (
    includes(rule.apiGroups, group) &&
    resourceMatches(rule.resources, resource, subresource) &&
    nameMatches(rule.resourceNames, name)
  );
}

/** Whether a rule allows something, wherever the rule holds. As Kubernetes' RBAC. */
export function allows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!includes(rule.verbs, attributes.verb)) return false;
  return attributes.kind === "path"
    ? pathMatches(rule.nonResourceURLs, attributes.path)
    : allowsResource(rule, attributes);
}

function all(list: readonly string[] | undefined): readonly string[] {
  return list ?? [];
}

/** The smallest rules that say together what a rule says: one verb, one resource or path, one name. */
function* parts(rule: PolicyRule): Generator<PolicyRule> {
  for (const verb of rule.verbs) {
    for (const url of all(rule.nonResourceURLs)) yield { verbs: [verb], nonResourceURLs: [url] };
    for (const group of all(rule.apiGroups)) {
      for (const resource of all(rule.resources)) {
        const one = { verbs: [verb], apiGroups: [group], resources: [resource] };
        if (all(rule.resourceNames).length === 0) yield one;
        for (const name of all(rule.resourceNames)) yield { ...one, resourceNames: [name] };
      }
    }
  }
}

function hasAll(owner: readonly string[] | undefined, wanted: readonly string[] | undefined): boolean {
  return all(wanted).every((one) => includes(owner, one));
}

function coversPart(owner: PolicyRule, part: PolicyRule): boolean {
  if (!hasAll(owner.verbs, part.verbs)) return false;
  if (part.nonResourceURLs !== undefined) {
    return part.nonResourceURLs.every((url) => pathMatches(owner.nonResourceURLs, url));
  }
  const names = all(owner.resourceNames);
  const wanted = all(part.resourceNames);
  const named = names.length === 0 || (wanted.length > 0 && wanted.every((name) => names.includes(name)));
  const resources = all(part.resources).every((text) => {
    const [resource = "", subresource = ""] = text.split("/");
    return resourceMatches(owner.resources, resource, subresource);
  });
  return named && resources && hasAll(owner.apiGroups, part.apiGroups);
}

/** What of some rules others do not allow, in the smallest rules; none when they allow everything. */
export function uncovered(owners: readonly PolicyRule[], wanted: readonly PolicyRule[]): readonly PolicyRule[] {
  return wanted.flatMap((rule) => [...parts(rule)].filter((part) => !owners.some((owner) => coversPart(owner, part))));
}

/** A rule as Kubernetes writes it in refusals. */
export function ruleText(rule: PolicyRule): string {
  const members = [
    ["APIGroups", rule.apiGroups],
    ["Resources", rule.resources],
    ["ResourceNames", rule.resourceNames],
    ["NonResourceURLs", rule.nonResourceURLs],
    ["Verbs", rule.verbs],
  ] as const;
  const texts = members
    .filter(([, values]) => all(values).length > 0)
    .map(
      ([name, values]) =>
        `${name}:[${all(values)
          .map((value) => JSON.stringify(value))
          .join(" ")}]`,
    );
  return `{${texts.join(", ")}}`;
}
