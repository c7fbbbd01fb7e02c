import { parse } from "yaml";
import { subnetProblem } from "./names.ts";
import { quantityValue } from "../quantity.ts";
import { ownValue } from "../record.ts";

/** Says what is wrong with an annotation's value; undefined where nothing is. */
type Check = (value: string) => string | undefined;

function words(value: string): readonly string[] {
  return value === "" ? [] : value.split(",");
}

function unless(accepts: (value: string) => boolean, message: string): Check {
  return (value) => (accepts(value) ? undefined : message);
}

function isPort(text: string): boolean {
  return /^\s*\d{1,5}\s*$/.test(text) && Number(text) <= 65_535;
}

const ports = unless((value) => words(value.trim()).every(isPort), "must be ports, with commas between");
const ranges = unless(
  (value) => words(value).every((each) => each.includes("/") && subnetProblem(each) === undefined),
  "must be networks in CIDR form, with commas between",
);
const number = unless((value) => /^\d+$/.test(value) && Number(value) < 2 ** 32, "must be a whole number");
const amount = unless((value) => !Number.isNaN(quantityValue(value)), "must be a quantity, such as 500m or 1Gi");
const interfaces = unless(
  (value) => words(value).every((each) => each.trim() !== ""),
  "must be names, with commas between",
);
/** Texts that are true or false in Istio. */
const truths: Readonly<Record<string, boolean>> = {
  ...Object.fromEntries(["1", "t", "T", "true", "TRUE", "True"].map((word) => [word, true])),
  ...Object.fromEntries(["0", "f", "F", "false", "FALSE", "False"].map((word) => [word, false])),
};

/** The truth that an annotation's value says; undefined for one that says none. */
export function truthOf(value: string | undefined): boolean | undefined {
  return value === undefined ? undefined : ownValue(truths, value);
}

function orAll(check: Check): Check {
  return (value) => (value === "*" ? undefined : check(value));
}

function proxyConfig(value: string): string | undefined {
  const message = "must be fields of ProxyConfig in YAML";
  try {
    const config: unknown = parse(value, { logLevel: "error" });
    return config === null || (typeof config === "object" && !Array.isArray(config)) ? undefined : message;
  } catch {
    return message;
  }
}

const checks: Readonly<Record<string, Check>> = {
  "sidecar.istio.io/interceptionMode": unless(
    (value) => ["REDIRECT", "TPROXY", "NONE"].includes(value),
    "must be REDIRECT, TPROXY or NONE",
  ),
  "status.sidecar.istio.io/port": unless(isPort, "must be a port"),
  "readiness.status.sidecar.istio.io/initialDelaySeconds": number,
  "readiness.status.sidecar.istio.io/periodSeconds": number,
  "readiness.status.sidecar.istio.io/failureThreshold": number,
  "traffic.sidecar.istio.io/includeOutboundIPRanges": orAll(ranges),
  "traffic.sidecar.istio.io/excludeOutboundIPRanges": ranges,
  "traffic.sidecar.istio.io/includeInboundPorts": orAll(ports),
  "traffic.sidecar.istio.io/excludeInboundPorts": ports,
  "traffic.sidecar.istio.io/excludeOutboundPorts": ports,
  "traffic.sidecar.istio.io/excludeInterfaces": interfaces,
  "traffic.sidecar.istio.io/kubevirtInterfaces": interfaces,
  "istio.io/reroute-virtual-interfaces": interfaces,
  "prometheus.istio.io/merge-metrics": unless((value) => truthOf(value) !== undefined, "must be true or false"),
  "proxy.istio.io/config": proxyConfig,
  "sidecar.istio.io/proxyCPU": amount,
  "sidecar.istio.io/proxyMemory": amount,
  "sidecar.istio.io/proxyCPULimit": amount,
  "sidecar.istio.io/proxyMemoryLimit": amount,
};

/** Says what is wrong with the value of an annotation of Istio's, of those that are checked. */
export function annotationProblem(name: string, value: string): string | undefined {
  return ownValue(checks, name)?.(value);
}
