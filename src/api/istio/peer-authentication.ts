import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { FieldPath, forbidden, invalid, required } from "../field.ts";
import { choice, definition, described, map, object, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import type { Errors } from "./names.ts";
import { policyTargets } from "./policy.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import type { IstioStatus } from "./status.ts";

const MutualTLS = object(
  "Whether connections must be mutual TLS.",
  {},
  {
    mode: choice(
      "DISABLE takes plain text only, PERMISSIVE both, STRICT mutual TLS only. UNSET: as the next wider object says, PERMISSIVE where none does.",
      ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"],
    ),
  },
);

export const PeerAuthenticationSpec = definition(
  istioName("PeerAuthenticationSpec", "security"),
  object(
    "What the ports of some workloads take.",
    {},
    {
      selector: policyTargets.selector,
      mtls: described("What all ports of the workloads take.", MutualTLS),
      portLevelMtls: map("What single ports take, by the workload's port number. Needs a selector.", MutualTLS),
    },
  ),
);
export type PeerAuthenticationSpec = Value<typeof PeerAuthenticationSpec>;

/** Istio's `security.istio.io/v1.PeerAuthentication`. */
export type PeerAuthentication = Resource<{ readonly spec: PeerAuthenticationSpec; readonly status?: IstioStatus }>;

const path = FieldPath.root.field("spec");

function* validate({ spec }: PeerAuthentication): Errors {
  yield* validateTargets(spec, path);
  const { selector, portLevelMtls } = spec;
  if (portLevelMtls === undefined) return;
  const at = path.field("portLevelMtls");
  const ports = Object.keys(portLevelMtls);
  if (ports.length === 0) yield required(at, "one port or more");
  if (Object.keys(selector?.matchLabels ?? {}).length === 0) yield forbidden(at, "needs a selector with labels");
  for (const port of ports) {
    const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
    if (number < 1 || number > 65_535) yield invalid(at, port, "a port must be between 1 and 65535");
  }
}

export const peerAuthentication: Kind = istioKind({
  group: "security.istio.io",
  versions: [{ name: "v1" }, { name: "v1beta1" }],
  kind: "PeerAuthentication",
  plural: "peerauthentications",
  shortNames: ["pa"],
  description: "Whether workloads take plain text, mutual TLS, or both.",
  spec: PeerAuthenticationSpec,
  columns: [fieldColumn("Mode", ["spec", "mtls", "mode"], "What all ports of the workloads take.")],
  validate: (object) => validate(object as PeerAuthentication),
  warnings: (object) => targetWarnings((object as PeerAuthentication).spec, path),
});
