import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Container } from "#api/kubernetes/container.ts";
import { environmentOf, expand } from "./environment.ts";
import { hostsFile, resolvConf } from "./files.ts";
import { Programs, imageName } from "./programs.ts";
import { containerOf, podOf } from "./testing/pods.ts";

const sources = {
  podIp: "10.10.0.5",
  hostIp: "10.10.0.1",
  configMap: (name: string) => Promise.resolve(name === "settings" ? { level: "debug", "a.b": "c" } : undefined),
  secret: (name: string) => Promise.resolve(name === "key" ? { token: "t" } : undefined),
};

async function environment(more: Partial<Container>): Promise<Record<string, string>> {
  return Object.fromEntries(await environmentOf(podOf(), containerOf(more), { PATH: "/bin" }, sources));
}

describe("a container's environment", () => {
  it("expands what Kubernetes expands", () => {
    const variables = new Map([
      ["A", "1"],
      ["B", "$(A)"],
    ]);
    for (const [text, expected] of [
      ["$(A)-$(A)", "1-1"],
      ["$$(A)", "$(A)"],
      ["$$$(A)", "$1"],
      ["$(B)", "$(A)"],
      ["$(C) $A $ $(", "$(C) $A $ $("],
    ] as const)
      expect(expand(text, variables)).toBe(expected);
  });

  it("comes from values, the Pod's fields, ConfigMaps and Secrets, in order", async () => {
    const made = await environment({
      envFrom: [{ prefix: "S_", configMapRef: { name: "settings" } }, { secretRef: { name: "none", optional: true } }],
      env: [
        { name: "FIRST", value: "$(S_level)!" },
        { name: "SECOND", value: "$(FIRST) $(THIRD)" },
        { name: "THIRD", valueFrom: { fieldRef: { fieldPath: "metadata.labels['version']", apiVersion: "v1" } } },
        { name: "NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name", apiVersion: "v1" } } },
        { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP", apiVersion: "v1" } } },
        { name: "TOKEN", valueFrom: { secretKeyRef: { name: "key", key: "token" } } },
        { name: "GONE", valueFrom: { configMapKeyRef: { name: "settings", key: "none", optional: true } } },
      ],
    });
    expect(made).toEqual({
      PATH: "/bin",
      S_level: "debug",
      "S_a.b": "c",
      FIRST: "debug!",
      SECOND: "debug! $(THIRD)",
      THIRD: "v1",
      NAME: "reviews-v1-5f9c7-x2k4p",
      IP: "10.10.0.5",
      TOKEN: "t",
    });
  });

  it.each([
    [{ configMapKeyRef: { name: "settings", key: "none" } }, "the ConfigMap settings has no key none"],
    [{ secretKeyRef: { name: "none", key: "x" } }, "there is no Secret none"],
    [{ fieldRef: { fieldPath: "spec.restartPolicy", apiVersion: "v1" } }, "the field spec.restartPolicy cannot be put"],
    [{ resourceFieldRef: { resource: "limits.cpu", divisor: "1" } }, "resourceFieldRef"],
  ])("says what it lacks: %j", async (valueFrom, message) => {
    await expect(environment({ env: [{ name: "X", valueFrom }] })).rejects.toThrow(message);
  });
});

describe("a Pod's files", () => {
  it("name the mesh's name server and search domains", () => {
    expect(resolvConf(podOf(), "cluster.local")).toBe(
      "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 169.254.20.10\noptions ndots:5\n",
    );
    const own = podOf(
      {},
      {
        dnsPolicy: "None",
        dnsConfig: { nameservers: ["10.0.0.1"], options: [{ name: "edns0" }, { name: "ndots", value: "2" }] },
      },
    );
    expect(resolvConf(own, "cluster.local")).toBe("nameserver 10.0.0.1\noptions edns0 ndots:2\n");
  });

  it("name the Pod and its aliases", () => {
    const pod = podOf(
      { name: "p" },
      { hostname: "h", subdomain: "s", hostAliases: [{ ip: "1.2.3.4", hostnames: ["a", "b"] }] },
    );
    expect(hostsFile(pod, "10.10.0.5", "cluster.local").split("\n").slice(-3)).toEqual([
      "10.10.0.5\th.s.shop.svc.cluster.local h",
      "1.2.3.4\ta b",
      "",
    ]);
  });
});

describe("programs", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-programs-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "programs.json");
  const programs = new Programs({ file, folder });

  it("are images without their tags", () => {
    for (const [image, name] of [
      ["weft.dev/shop/page:v1", "weft.dev/shop/page"],
      ["localhost:5000/page", "localhost:5000/page"],
      ["localhost:5000/page:v2@sha256:00", "localhost:5000/page"],
      ["page", "page"],
    ] as const)
      expect(imageName(image)).toBe(name);
  });

  it("are only what the file names", () => {
    writeFileSync(
      file,
      JSON.stringify({ "shop/page": ["node", "page.ts"], "shop/out": ["node", "../../x"], "shop/no": "node" }),
    );
    expect(programs.find("shop/page:v9")).toEqual({ argv: ["node", "page.ts"], folder });
    for (const [image, message] of [
      ["/bin/sh", "no program for the image"],
      ["../page", "no program for the image"],
      ["toString", "no program for the image"],
      ["shop/out", "leads out of the folder"],
      ["shop/no", "must be a list of words"],
    ] as const)
      expect(() => programs.find(image)).toThrow(message);
  });
});
