import { describe, expect, it } from "vitest";
import { defaultCapture } from "#runtime/capture.ts";
import { captureOptions, interceptionMode } from "./capture-annotations.ts";
import { proxyRole } from "./injection.ts";
import { podOf } from "./testing/pods.ts";

const enabled = { "istio-injection": "enabled" };

describe("which Pods get a proxy", () => {
  it.each([
    ["nothing asks for one", {}, {}, "none"],
    ["the namespace asks", enabled, {}, "sidecar"],
    [
      "the namespace refuses, whatever the Pod says",
      { "istio-injection": "disabled" },
      { "sidecar.istio.io/inject": "true" },
      "none",
    ],
    ["the Pod refuses", enabled, { "sidecar.istio.io/inject": "false" }, "none"],
    ["the Pod alone asks", {}, { "sidecar.istio.io/inject": "true" }, "sidecar"],
    ["the namespace asks this revision", { "istio.io/rev": "default" }, {}, "sidecar"],
    ["the namespace asks another revision", { "istio.io/rev": "canary" }, {}, "none"],
    ["the Pod asks another revision", {}, { "sidecar.istio.io/inject": "true", "istio.io/rev": "canary" }, "none"],
    ["the Pod asks another revision by its label alone", {}, { "istio.io/rev": "canary" }, "none"],
    ["the Pod asks this revision by its label alone", {}, { "istio.io/rev": "default" }, "sidecar"],
    [
      "the namespace says something else",
      { "istio-injection": "maybe" },
      { "sidecar.istio.io/inject": "true" },
      "none",
    ],
    ["the Pod asks this revision", {}, { "sidecar.istio.io/inject": "true", "istio.io/rev": "default" }, "sidecar"],
  ] as const)("%s", (_what, namespaceLabels, labels, expected) => {
    expect(proxyRole(podOf({ labels }), namespaceLabels, "default")).toBe(expected);
  });

  it("goes by the annotation where there is no label", () => {
    const refuses = podOf({ annotations: { "sidecar.istio.io/inject": "false" } });
    expect(proxyRole(refuses, enabled, "default")).toBe("none");
    const both = podOf({
      labels: { "sidecar.istio.io/inject": "true" },
      annotations: { "sidecar.istio.io/inject": "false" },
    });
    expect(proxyRole(both, {}, "default")).toBe("sidecar");
  });

  it("makes a gateway of what names the template", () => {
    const annotations = { "inject.istio.io/templates": "gateway" };
    expect(proxyRole(podOf({ annotations }), enabled, "default")).toBe("gateway");
    expect(
      proxyRole(podOf({ annotations: { "inject.istio.io/templates": "sidecar, gateway" } }), enabled, "default"),
    ).toBe("gateway");
    expect(proxyRole(podOf({ annotations }), {}, "default")).toBe("none");
  });

  it("leaves Pods on the host's network and of another revision's default alone", () => {
    expect(proxyRole(podOf({}, { hostNetwork: true }), enabled, "default")).toBe("none");
    expect(proxyRole(podOf(), enabled, "canary")).toBe("none");
  });

  it("leaves the cluster's own namespaces alone", () => {
    const asks = podOf({ namespace: "kube-system", labels: { "sidecar.istio.io/inject": "true" } });
    expect(proxyRole(asks, enabled, "default")).toBe("none");
  });
});

function read(annotations: Readonly<Record<string, string>>) {
  const entries = Object.entries(annotations).map(([name, value]) => [`traffic.sidecar.istio.io/${name}`, value]);
  return captureOptions(podOf({ annotations: Object.fromEntries(entries) as Record<string, string> }), {
    proxyId: 1337,
  });
}

describe("capture annotations", () => {
  it("change what Istio's do", () => {
    expect(read({})).toEqual(defaultCapture);
    expect(
      read({
        includeInboundPorts: "80, 443",
        excludeInboundPorts: "7070",
        includeOutboundPorts: "3306",
        excludeOutboundPorts: "22,25",
        includeOutboundIPRanges: "10.0.0.0/8,1.2.3.4",
        excludeOutboundIPRanges: "10.1.0.0/16",
        excludeInterfaces: "eth1, docker0",
      }),
    ).toEqual({
      ...defaultCapture,
      includeInboundPorts: [80, 443],
      excludeInboundPorts: [15090, 15021, 15020, 7070],
      includeOutboundPorts: [3306],
      excludeOutboundPorts: [22, 25],
      includeOutboundRanges: ["10.0.0.0/8", "1.2.3.4"],
      excludeOutboundRanges: ["10.1.0.0/16"],
      excludeInterfaces: ["eth1", "docker0"],
    });
    expect(read({ includeInboundPorts: "", includeOutboundIPRanges: "" })).toMatchObject({
      includeInboundPorts: [],
      includeOutboundRanges: [],
    });
    expect(
      read({ includeOutboundIPRanges: "10.0.0.0/8,fd00::/8", excludeOutboundIPRanges: "fd00:1::/64,::1" }),
    ).toMatchObject({
      includeOutboundRanges: ["10.0.0.0/8"],
      excludeOutboundRanges: [],
    });
    expect(read({ includeInboundPorts: "*", includeOutboundIPRanges: " * " })).toEqual(defaultCapture);
  });

  it.each([
    ["excludeInboundPorts", "80,http", '"http" is not a port'],
    ["excludeOutboundPorts", "65536", '"65536" is not a port'],
    ["includeInboundPorts", "1;reboot", '"1;reboot" is not a port'],
    ["excludeOutboundIPRanges", "10.0.0.0/33", '"10.0.0.0/33" is not an address range'],
    ["excludeOutboundIPRanges", "*", '"*" is not an address range'],
    ["excludeOutboundIPRanges", "fd00::/129", '"fd00::/129" is not an address range'],
    ["includeOutboundIPRanges", "10.0.0.0/8\n-j", "is not an address range"],
    ["excludeInterfaces", "eth0 -j ACCEPT", "is not an interface"],
  ])("refuse %s: %j", (name, value, message) => {
    expect(() => read({ [name]: value })).toThrow(message);
  });
});

describe("how a proxy gets the traffic", () => {
  const mode = (word: string) =>
    interceptionMode(podOf({ annotations: { "sidecar.istio.io/interceptionMode": word } }));

  it("is Istio's REDIRECT, or not at all where the Pod says so", () => {
    expect(interceptionMode(podOf())).toBe("REDIRECT");
    expect(mode("NONE")).toBe("NONE");
  });

  it.each([
    ["TPROXY", "this node has no TPROXY: write REDIRECT or NONE"],
    ["none", '"none" is no mode: write REDIRECT or NONE'],
  ])("%s is refused", (word, message) => {
    expect(() => mode(word)).toThrow(`annotation sidecar.istio.io/interceptionMode: ${message}`);
  });
});
