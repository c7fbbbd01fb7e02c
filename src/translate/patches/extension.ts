import type { TrafficSelector } from "#api/istio/wasm.ts";
import type { Extension } from "#model/extensions.ts";
import type { Problem } from "#model/findings/finding.ts";
import type { PatchContext, WrittenPatch } from "./patch.ts";
import type { Phase } from "./phase.ts";

type Module = NonNullable<Extract<Extension, { readonly kind: "TrafficExtension" }>["row"]["spec"]["wasm"]>;

const types = "type.googleapis.com/envoy.extensions";

/** Where an extension's fields stand in its object, and what it runs. */
function contentOf(extension: Extension): { readonly module?: Module; readonly script?: string; readonly at: string } {
  if (extension.kind === "WasmPlugin") return { module: extension.row.spec, at: "spec" };
  const { wasm, lua } = extension.row.spec;
  return { at: "spec.wasm", ...(wasm && { module: wasm }), ...(lua && { script: lua.inlineCode }) };
}

/** The path of a module on the proxy's own disk; undefined where it is elsewhere. */
function filePath(url: string): string | undefined {
  const path = /^file:\/\/(.*)$/i.exec(url)?.[1];
  return path === "" ? undefined : path;
}

/** Whether traffic goes on without the module where it cannot run. */
function isOpen({ failStrategy }: Module): boolean {
  return failStrategy === "FAIL_OPEN";
}

/** What of an extension is not carried out. */
export function extensionProblems(extension: Extension): readonly Problem[] {
  const { module, at } = contentOf(extension);
  if (!module) return [];
  const problem = (field: string, message: string): Problem => ({
    code: "NotImplemented",
    severity: "warning",
    field: `${at}.${field}`,
    message,
  });
  const problems: Problem[] = [];
  if (filePath(module.url) === undefined) {
    const effect = isOpen(module) ? "no proxy runs this one" : "as it must not be missed, what it is for is refused";
    const fix = "Put it on the proxies' disks and name it by file://.";
    problems.push(problem("url", `Modules are not fetched yet: ${effect}. ${fix}`));
  }
  if ((module.imagePullSecret ?? "") !== "") {
    problems.push(problem("imagePullSecret", "Modules are not fetched yet, so the Secret is not used."));
  }
  return problems;
}

const failurePolicies: Readonly<Record<string, string>> = { FAIL_OPEN: "FAIL_OPEN", FAIL_RELOAD: "FAIL_RELOAD" };

function wasmConfig(module: Module, path: string, name: string): object {
  const { pluginName = "", pluginConfig = {}, failStrategy = "", vmConfig } = module;
  const env = vmConfig?.env ?? [];
  const ofHost = env.filter(({ valueFrom }) => valueFrom === "HOST").map((each) => each.name);
  const own = env.filter(({ valueFrom }) => valueFrom !== "HOST").map((each) => [each.name, each.value ?? ""]);
  const told = { "@type": "type.googleapis.com/google.protobuf.StringValue", value: JSON.stringify(pluginConfig) };
  return {
    name,
    root_id: pluginName,
    ...(Object.keys(pluginConfig).length > 0 && { configuration: told }),
    failure_policy: failurePolicies[failStrategy] ?? "FAIL_CLOSED",
    vm_config: {
      runtime: "envoy.wasm.runtime.v8",
      code: { local: { filename: path } },
      environment_variables: { host_env_keys: ofHost, key_values: Object.fromEntries(own) },
    },
  };
}

/** A filter that lets nothing through, in the place of one that cannot run and must not be missed: no policy allows anything. */
function refusal(network: boolean): object {
  const rules = { action: "ALLOW" };
  return network
    ? { "@type": `${types}.filters.network.rbac.v3.RBAC`, stat_prefix: "module_missing", rules }
    : { "@type": `${types}.filters.http.rbac.v3.RBAC`, rules };
}

/** The filter that an extension comes to; undefined where nothing can run it. */
function filterOf(extension: Extension): { readonly network: boolean; readonly config: object } | undefined {
  const { module, script } = contentOf(extension);
  const { namespace, name } = extension.row;
  if (script !== undefined) {
    const config = { "@type": `${types}.filters.http.lua.v3.Lua`, default_source_code: { inline_string: script } };
    return { network: false, config };
  }
  if (!module) return undefined;
  const network = module.type === "NETWORK";
  const path = filePath(module.url);
  if (path === undefined) return isOpen(module) ? undefined : { network, config: refusal(network) };
  const type = `${types}.filters.${network ? "network" : "http"}.wasm.v3.Wasm`;
  return { network, config: { "@type": type, config: wasmConfig(module, path, `${namespace}.${name}`) } };
}

const contexts: readonly PatchContext[] = ["SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"];

function isFor({ mode = "UNDEFINED" }: TrafficSelector, context: PatchContext): boolean {
  if (mode === "UNDEFINED" || mode === "CLIENT_AND_SERVER") return true;
  return (mode === "SERVER") === (context === "SIDECAR_INBOUND");
}

/** The ports on whose listeners an extension stands; 0 alone for all. */
function portsFor(match: readonly TrafficSelector[], context: PatchContext): readonly number[] {
  if (match.length === 0) return [0];
  const selectors = match.filter((selector) => isFor(selector, context));
  if (selectors.some(({ ports = [] }) => ports.length === 0)) return [0];
  return [...new Set(selectors.flatMap(({ ports = [] }) => ports.map(({ number }) => number)))];
}

/** The phase of an extension; Istio's two kinds have two words for none. */
function phaseOf(phase = ""): Phase {
  return phase === "AUTHN" || phase === "AUTHZ" || phase === "STATS" ? phase : "UNSPECIFIED";
}

/**
 * The patches that an extension comes to: its filter, where those of its phase begin. So of several, those whose filters come
 * first are applied last.
 */
export function extensionPatches(extension: Extension): readonly WrittenPatch[] {
  const filter = filterOf(extension);
  if (!filter) return [];
  const { namespace, name, spec } = extension.row;
  const value = { name: `extensions.istio.io/trafficextension/${namespace}.${name}`, typed_config: filter.config };
  return contexts.flatMap((context) =>
    portsFor(spec.match ?? [], context).map((portNumber) => ({
      applyTo: filter.network ? ("NETWORK_FILTER" as const) : ("HTTP_FILTER" as const),
      match: { context, listener: { portNumber } },
      patch: { operation: "INSERT_FIRST" as const, value },
      phase: phaseOf(spec.phase),
    })),
  );
}
