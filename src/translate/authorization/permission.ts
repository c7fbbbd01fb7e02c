import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { Condition, Operation } from "#api/istio/authorization-policy.ts";
import { type Permission, PermissionSchema } from "#proto/gen/envoy/config/rbac/v3/rbac_pb.js";
import { UriTemplateMatchConfigSchema } from "#proto/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import { listValue, metadataMatcher, textValue } from "../metadata-match.ts";
import { allOf, type Field, httpOnly, type Logic } from "./predicate.ts";
import { escaped, expressionMatcher, headerValue, networkRange, valueMatcher } from "./values.ts";

type Rule = Permission["rule"];

function permission(rule: Rule): Permission {
  return create(PermissionSchema, { rule });
}

const logic: Logic<Permission> = {
  or: (rules) => permission({ case: "orRules", value: { $typeName: "envoy.config.rbac.v3.Permission.Set", rules } }),
  and: (rules) => permission({ case: "andRules", value: { $typeName: "envoy.config.rbac.v3.Permission.Set", rules } }),
  not: (rule) => permission({ case: "notRule", value: rule }),
  any: permission({ case: "any", value: true }),
};

/** What nothing is. */
export const nothing: Permission = logic.not(logic.any);

/** The longest template that Envoy takes. */
const longestTemplate = 256;
/** Longer than any path that Envoy reads: such a template is nobody's, and no expression for Envoy. */
const longestPath = 8192;

/** A template of paths with `{*}` and `{**}`. */
function template(value: string): Permission {
  // Paths begin with a slash. Envoy 1.40 crashes for a template that does not, and for one with an empty segment.
  if (!value.startsWith("/") || value.length > longestPath) return nothing;
  if (value.includes("//") || value.length > longestTemplate) {
    const parts = value.split(/(\{\*{1,2}\})/).map((part) => templateParts[part] ?? escaped(part));
    const path = expressionMatcher(parts.join(""));
    return create(PermissionSchema, { rule: { case: "urlPath", value: { rule: { case: "path", value: path } } } });
  }
  const pathTemplate = value.replaceAll("{*}", "*").replaceAll("{**}", "**");
  const config = create(UriTemplateMatchConfigSchema, { pathTemplate });
  const typedConfig = anyPack(UriTemplateMatchConfigSchema, config);
  return create(PermissionSchema, { rule: { case: "uriTemplate", value: { name: "uri-template", typedConfig } } });
}

/** What operators of templates stand for, as RE2 has it. */
const templateParts: Readonly<Record<string, string>> = { "{*}": "[^/]+", "{**}": ".*" };

/** A path: a template, or a text with a wildcard at one of its ends. */
function path(value: string): Permission {
  if (value.includes("{*}") || value.includes("{**}")) return template(value);
  return create(PermissionSchema, {
    rule: { case: "urlPath", value: { rule: { case: "path", value: valueMatcher(value) } } },
  });
}

function port(value: string): Permission {
  return permission({ case: "destinationPort", value: Number(value) });
}

/** What a filter has left in the metadata, by a key such as `experimental.envoy.filters.a.b[c]`; a list by `[value]`. */
function filterMetadata(key: string, value: string): Permission {
  const [filter = "", name = ""] = key
    .replace(/^experimental\./, "")
    .replace(/\]$/, "")
    .split(/\[(.*)/s);
  const isList = value.startsWith("[") && value.endsWith("]");
  const text = textValue(valueMatcher(isList ? value.replaceAll(/^\[+|\]+$/g, "") : value));
  return permission({ case: "metadata", value: metadataMatcher(filter, [name], isList ? listValue(text) : text) });
}

const header =
  (name: string, ignoreCase = false) =>
  (value: string): Permission =>
    permission({ case: "header", value: headerValue(name, value, ignoreCase) });

function operationFields(operation: Operation, http: boolean): readonly Field<Permission>[] {
  const onHttp = (make: (value: string) => Permission) => (value: string) => (http ? make(value) : httpOnly);
  const { hosts = [], methods = [], paths = [], ports = [] } = operation;
  const { notHosts = [], notMethods = [], notPaths = [], notPorts = [] } = operation;
  return [
    { values: hosts, notValues: notHosts, ask: onHttp(header(":authority", true)) },
    { values: methods, notValues: notMethods, ask: onHttp(header(":method")) },
    { values: paths, notValues: notPaths, ask: onHttp(path) },
    { values: ports, notValues: notPorts, ask: port },
  ];
}

/** What a condition asks of where the call goes; undefined for one that asks who calls. */
function conditionField({ key, values = [], notValues = [] }: Condition): Field<Permission> | undefined {
  if (key === "destination.ip") {
    return { values, notValues, ask: (value) => permission({ case: "destinationIp", value: networkRange(value) }) };
  }
  if (key === "destination.port") return { values, notValues, ask: port };
  if (key === "connection.sni") {
    return {
      values,
      notValues,
      ask: (value) => permission({ case: "requestedServerName", value: valueMatcher(value) }),
    };
  }
  if (!key.startsWith("experimental.envoy.filters.")) return undefined;
  return { values, notValues, ask: (value) => filterMetadata(key, value) };
}

/**
 * What may be called by a rule: an operation, and those conditions that ask where the call goes.
 * @returns undefined where the rule allows and asks what connections that are not HTTP cannot tell.
 */
export function permissionOf(
  operation: Operation,
  when: readonly Condition[],
  { http, allows }: { readonly http: boolean; readonly allows: boolean },
): Permission | undefined {
  const fields = [...operationFields(operation, http), ...when.flatMap((each) => conditionField(each) ?? [])];
  return allOf(fields, logic, allows);
}
