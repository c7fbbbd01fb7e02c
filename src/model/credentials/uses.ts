/** Which credentials objects name, where, and by which SDS resources proxies ask for them. */
import type { ServerTLSSettings } from "#api/istio/common.ts";
import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { ClientTLSSettings, TrafficPolicy } from "#api/istio/traffic-policy.ts";
import { authoritiesResource, certificateResource, clientAuthoritiesResource, isBuiltin } from "./name.ts";

/** One credential that TLS settings ask for. */
export interface CredentialUse {
  /** The field that names it, such as `credentialName`, within the TLS settings. */
  readonly field: string;
  /** As the field has it. */
  readonly written: string;
  /** The SDS resource. */
  readonly resource: string;
}

/** What TLS settings ask for whose certificates are no files. */
export interface TlsCredentials {
  /** Certificates with keys, to be shown. */
  readonly certificates: readonly CredentialUse[];
  /** Authorities of peers; absent where none is asked for. */
  readonly authorities?: CredentialUse;
}

/** The fields of a server that name certificates, with what they name. */
function named({ credentialName = "", credentialNames = [] }: ServerTLSSettings) {
  if (credentialNames.length === 0) return [{ field: "credentialName", written: credentialName }];
  return credentialNames.map((written, index) => ({ field: `credentialNames[${index}]`, written }));
}

/** What a server asks for; undefined where its certificates are files. Of several credentials the first has the authorities. */
export function serverCredentials(tls: ServerTLSSettings): TlsCredentials | undefined {
  const all = named(tls).filter(({ written }) => written !== "");
  const [first] = all;
  if (!first) return undefined;
  const { mode, caCertCredentialName: written = "" } = tls;
  const certificates = all.map((use) => ({ ...use, resource: certificateResource(use.written) }));
  if (mode !== "MUTUAL" && mode !== "OPTIONAL_MUTUAL") return { certificates };
  const authorities =
    written === ""
      ? { ...first, resource: authoritiesResource(first.written) }
      : { field: "caCertCredentialName", written, resource: clientAuthoritiesResource(written) };
  return { certificates, authorities };
}

/** What a client asks for; undefined where it names files, or no TLS of its own. */
export function clientCredentials(tls: ClientTLSSettings): TlsCredentials | undefined {
  const { mode, credentialName: written = "", insecureSkipVerify = false } = tls;
  if (written === "" || (mode !== "SIMPLE" && mode !== "MUTUAL")) return undefined;
  const use = { field: "credentialName", written };
  return {
    certificates: mode === "MUTUAL" ? [{ ...use, resource: certificateResource(written) }] : [],
    ...(!insecureSkipVerify && { authorities: { ...use, resource: authoritiesResource(written) } }),
  };
}

/** All that settings ask for. */
export function credentialUses({ certificates, authorities }: TlsCredentials): readonly CredentialUse[] {
  return authorities === undefined ? certificates : [...certificates, authorities];
}

/** Those of a server or client by which it asks for what its workload has from the mesh. */
export function builtinUses(credentials: TlsCredentials | undefined): readonly CredentialUse[] {
  return credentials ? credentialUses(credentials).filter(({ resource }) => isBuiltin(resource)) : [];
}

function placedPolicies({ trafficPolicy, subsets = [] }: DestinationRuleSpec) {
  const whole: { readonly at: string; readonly policy: TrafficPolicy | undefined }[] = [
    { at: "spec.trafficPolicy", policy: trafficPolicy },
    ...subsets.map((subset, index) => ({ at: `spec.subsets[${index}].trafficPolicy`, policy: subset.trafficPolicy })),
  ];
  return whole.flatMap(({ at, policy }) => [
    { at, tls: policy?.tls },
    ...(policy?.portLevelSettings ?? []).map(({ tls }, index) => ({ at: `${at}.portLevelSettings[${index}]`, tls })),
  ]);
}

/** The credentials that a DestinationRule names; `at` is the field of their TLS settings. */
export function ruleCredentials(
  spec: DestinationRuleSpec,
): readonly { readonly at: string; readonly credentials: TlsCredentials }[] {
  return placedPolicies(spec).flatMap(({ at, tls }) => {
    const credentials = tls && clientCredentials(tls);
    return credentials ? [{ at: `${at}.tls`, credentials }] : [];
  });
}
