import { anyObject, choice, int32, keyedList, list, object, port, string, type Value } from "../schema.ts";

const EnvVar = object(
  "A variable of the module's environment.",
  { name: string("The variable's name.", { minLength: 1, maxLength: 256 }) },
  {
    valueFrom: choice("INLINE: value; HOST: the proxy's own environment. INLINE unless set.", ["INLINE", "HOST"]),
    value: string("The variable's value, for INLINE.", { maxLength: 2048 }),
  },
);

export const VmConfig = object(
  "The machine that runs the module.",
  {},
  { env: keyedList("Variables of the module's environment.", EnvVar, ["name"], { maxItems: 256 }) },
);
export type VmConfig = Value<typeof VmConfig>;

/** Fields that say which WebAssembly module runs and how, beside its `url`. */
export const wasmFields = {
  sha256: string("The module's checksum. Checked unless empty.", { pattern: "(^$|^[a-f0-9]{64}$)" }),
  imagePullPolicy: choice("When a module is fetched again. By its tag unless set: Always for latest.", [
    "UNSPECIFIED_POLICY",
    "IfNotPresent",
    "Always",
  ]),
  imagePullSecret: string("Secret with the credentials for the module's registry.", { minLength: 1, maxLength: 253 }),
  verificationKey: string("Not used by Istio yet."),
  pluginConfig: anyObject("What the module is told when it starts."),
  pluginName: string("The module's name for Envoy.", { minLength: 1, maxLength: 256 }),
  failStrategy: choice("What becomes of requests when the module fails. FAIL_CLOSE unless set.", [
    "FAIL_CLOSE",
    "FAIL_OPEN",
    "FAIL_RELOAD",
  ]),
  vmConfig: VmConfig,
  type: choice("What the module filters: HTTP requests unless set, or connections.", [
    "UNSPECIFIED_PLUGIN_TYPE",
    "HTTP",
    "NETWORK",
  ]),
};

/** Where a WebAssembly module is. */
export const moduleUrl = string("Where the module is: oci, https, http or file; oci unless the URL says.", {
  minLength: 1,
});

const TrafficSelector = object(
  "Traffic that passes the filter.",
  {},
  {
    mode: choice("Traffic of the workload as client, as server, or both. Both unless set.", [
      "UNDEFINED",
      "CLIENT",
      "SERVER",
      "CLIENT_AND_SERVER",
    ]),
    ports: keyedList(
      "Destination ports. All unless set.",
      object("A port.", { number: port("The port's number.") }, {}),
      ["number"],
    ),
  },
);
export type TrafficSelector = Value<typeof TrafficSelector>;

/** Fields that say where in the chain of filters an extension stands, and what passes it. */
export const placeFields = {
  priority: int32("Among those of one phase, higher numbers come first, and those without one last."),
  match: list("What passes the extension; one entry is enough. All traffic unless set.", TrafficSelector),
};
