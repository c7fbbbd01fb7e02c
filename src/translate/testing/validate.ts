import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { createAuthority } from "#base/testing/certificate.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import type { ProxyResources } from "../proxy-resources.ts";
import { resourceJson } from "./mesh.ts";

const run = promisify(execFile);

/** The pinned Envoy, fetched first where needed. */
const program = execFileSync(process.execPath, ["setup/program.ts", "envoy"], { encoding: "utf8" }).trim();

function body(resource: EncodedResource): JsonObject {
  const { "@type": _type, ...rest } = resourceJson(resource);
  return rest;
}

/** A cluster with its endpoints in it, so that Envoy checks these too. */
function withEndpoints(cluster: JsonObject, endpoints: ReadonlyMap<string, EncodedResource>): JsonObject {
  const { edsClusterConfig, ...rest } = cluster;
  if (edsClusterConfig === undefined) return cluster;
  const assignment = endpoints.get(cluster["name"] as string);
  return { ...rest, type: "STATIC", ...(assignment && { loadAssignment: body(assignment) }) };
}

const authority = createAuthority("validation");
const { certificate, key } = authority.issue("validation.test");

/** Texts of the files that a proxy would have, by the field that names the file. */
const fileTexts: ReadonlyMap<string, string> = new Map([
  ["certificateChain", certificate],
  ["privateKey", key],
  ["trustedCa", authority.certificate],
]);

const inlineCertificate = { certificateChain: { inlineString: certificate }, privateKey: { inlineString: key } };

/** A member of a TLS context with what would come by SDS, which an Envoy that only validates cannot wait for. */
function withSecrets(name: string, member: JsonValue): readonly [string, JsonValue] {
  if (name === "tlsCertificateSdsSecretConfigs") return ["tlsCertificates", [inlineCertificate]];
  if (name !== "combinedValidationContext") return [name, member];
  const { defaultValidationContext } = member as { readonly defaultValidationContext?: JsonObject };
  return ["validationContext", { ...defaultValidationContext, trustedCa: {} }];
}

/** The same with the texts of the files and secrets that it names, less lists of revoked certificates. */
function withFiles(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withFiles);
  const members = Object.entries(value).filter(([name]) => name !== "crl");
  return Object.fromEntries(
    members.map(([given, there]) => {
      const [name, member] = withSecrets(given, there);
      const inlineString = fileTexts.get(name);
      return [name, inlineString === undefined ? withFiles(member) : { inlineString }];
    }),
  );
}

/** The same with every reference to a route configuration replaced by the configuration itself. */
function withRoutes(value: JsonValue, routes: ReadonlyMap<string, EncodedResource>): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => withRoutes(each, routes));
  const { rds, ...rest } = value;
  const copied = Object.fromEntries(Object.entries(rest).map(([name, member]) => [name, withRoutes(member, routes)]));
  if (rds === undefined) return copied;
  const name = (rds as JsonObject)["routeConfigName"] as string;
  const route = routes.get(name);
  if (!route) throw new Error(`a listener asks for routes ${name}, which nothing serves`);
  return { ...copied, routeConfig: body(route) };
}

function bootstrap(resources: ProxyResources): JsonObject {
  return {
    node: { id: "validate", cluster: "validate" },
    // As agents start proxies.
    layeredRuntime: { layers: [{ name: "static", staticLayer: { "re2.max_program_size.error_level": "32768" } }] },
    staticResources: {
      clusters: [...resources.cluster.values()].map((cluster) =>
        withFiles(withEndpoints(body(cluster), resources.endpoints)),
      ),
      listeners: [...resources.listener.values()].map((listener) =>
        withFiles(withRoutes(body(listener), resources.route)),
      ),
    },
  };
}

/** What a real Envoy says against everything that a proxy gets; empty when it takes it. */
export async function refusal(resources: ProxyResources): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "weft-validate-"));
  try {
    const file = join(folder, "bootstrap.json");
    writeFileSync(file, JSON.stringify(bootstrap(resources)));
    const argv = ["--mode", "validate", "--config-path", file, "--log-level", "error"];
    // In the folder: logs of requests go to files that the configuration names.
    await run(program, argv, { cwd: folder, timeout: 20_000 });
    return "";
  } catch (error) {
    const { stderr = "" } = error as { readonly stderr?: string };
    return stderr.trim() === "" ? String(error) : stderr.trim();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
