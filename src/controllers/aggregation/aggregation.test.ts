/** What a member has of the mesh's API, and what is read of a member. */
import { describe, expect, test } from "vitest";
import { readFrontProxyTrust } from "#api/front-proxy.ts";
import { kinds } from "#api/kinds.ts";
import { memberServerName, memberServiceName } from "#api/member-api.ts";
import type { ResourceObject } from "#api/meta.ts";
import { onlyBlockedBy } from "./blocked.ts";
import { memberObjects, type Reach } from "./objects.ts";
import { obstacles } from "./obstacles.ts";

const account = { kind: "User", name: "weft" } as const;
const objects = (reach: Reach): ReturnType<typeof memberObjects> =>
  memberObjects({ member: "east", authority: "PEM", reach, account, kinds });

function resource(kind: string, name: string, body: object): ResourceObject {
  return { apiVersion: "v1", kind, metadata: { name } as ResourceObject["metadata"], ...body };
}

describe("a member's objects", () => {
  test("are an APIService for each version of Istio's groups, the preferred one first", () => {
    const services = objects({ kind: "name", host: "mesh.example", port: 15_443 }).filter(
      ({ kind }) => kind === "APIService",
    );
    expect(services.map(({ metadata }) => metadata.name)).toEqual(
      expect.arrayContaining(["v1.networking.istio.io", "v1alpha3.networking.istio.io", "v1.security.istio.io"]),
    );
    expect(services.every(({ metadata }) => metadata.name.endsWith(".istio.io"))).toBe(true);
    const priority = (name: string): unknown => services.find(({ metadata }) => metadata.name === name)?.["spec"];
    expect(priority("v1.networking.istio.io")).toMatchObject({
      group: "networking.istio.io",
      version: "v1",
      versionPriority: 3,
      caBundle: Buffer.from("PEM").toString("base64"),
      service: { namespace: "istio-system", name: "weft-api-east", port: 15_443 },
    });
    expect(priority("v1alpha3.networking.istio.io")).toMatchObject({ versionPriority: 1 });
  });

  test("lead to a name, to addresses or to Pods", () => {
    const kindsOf = (reach: Reach): readonly unknown[] =>
      objects(reach).flatMap(({ kind, spec, endpoints }) =>
        kind === "Service" || kind === "EndpointSlice" ? [spec ?? endpoints] : [],
      );
    const ports = (targetPort: number, port = 443): object[] => [
      expect.objectContaining({ port, targetPort }) as object,
    ];
    expect(kindsOf({ kind: "name", host: "mesh.example", port: 1 })).toEqual([
      { type: "ExternalName", externalName: "mesh.example", ports: ports(1, 1) },
    ]);
    expect(kindsOf({ kind: "addresses", addresses: ["192.0.2.1"], port: 2 })).toEqual([
      { ports: ports(2) },
      [{ addresses: ["192.0.2.1"], conditions: { ready: true } }],
    ]);
    expect(kindsOf({ kind: "pods", labels: { app: "weft" }, port: 3 })).toEqual([
      { selector: { app: "weft" }, ports: ports(3) },
    ]);
  });

  test("have a Service whose name is one of DNS however long the member's is", () => {
    expect(memberServerName("east")).toBe("weft-api-east.istio-system.svc");
    const names = ["a", "b"].map((end) => memberServiceName("x".repeat(62) + end));
    expect(names.map(({ length }) => length)).toEqual([63, 63]);
    expect(names[0]).not.toBe(names[1]);
  });
});

describe("what is in the way of a member", () => {
  const definition = resource("CustomResourceDefinition", "gateways.networking.istio.io", {
    spec: { group: "networking.istio.io" },
  });
  const service = (name: string, group: string, to: object | null): ResourceObject =>
    resource("APIService", name, { spec: { group, service: to } });

  test("are definitions of the groups, whose own APIServices need no further words", () => {
    const own = service("v1.networking.istio.io", "networking.istio.io", null);
    const found = obstacles("east", kinds, { definitions: [definition], apiServices: [own] });
    expect(found.map(({ code, resource: { name, cluster } }) => [code, name, cluster])).toEqual([
      ["DefinitionInTheWay", "gateways.networking.istio.io", "east"],
    ]);
  });

  test("are APIServices of others, and not the mesh's own or those of other groups", () => {
    const apiServices = [
      service("v1.security.istio.io", "security.istio.io", { namespace: "else", name: "where" }),
      service("v1.telemetry.istio.io", "telemetry.istio.io", { namespace: "istio-system", name: "weft-api-east" }),
      service("v1.apps", "apps", null),
    ];
    const found = obstacles("east", kinds, { definitions: [], apiServices });
    expect(found).toMatchObject([
      { code: "ApiServiceInTheWay", message: expect.stringContaining("Service else/where") },
    ]);
  });
});

describe("a namespace is only kept by APIs that cannot be asked", () => {
  const types = [
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
  ];
  const message =
    "Discovery failed for some groups, 2 failing: unable to retrieve the complete list of server APIs: networking.istio.io/v1: stale GroupVersion discovery: networking.istio.io/v1, security.istio.io/v1: stale GroupVersion discovery: security.istio.io/v1";
  const going = (change: object = {}, text = message): ResourceObject => {
    const conditions = types.map((type) => ({ type, status: "False" }));
    const discovery = { type: "NamespaceDeletionDiscoveryFailure", status: "True", message: text };
    return {
      ...resource("Namespace", "shop", { status: { conditions: [discovery, ...conditions, ...[change].flat()] } }),
      metadata: { name: "shop", deletionTimestamp: "2026-01-01T00:00:00Z" } as ResourceObject["metadata"],
    };
  };

  test("which its conditions name", () => {
    expect(onlyBlockedBy(going())).toEqual(["networking.istio.io/v1", "security.istio.io/v1"]);
  });

  test("not when something is left in it, nothing is known of that, or it is not being deleted", () => {
    const left = (type: string): ResourceObject => {
      const object = going();
      const { conditions } = object["status"] as { conditions: { type: string; status: string }[] };
      return {
        ...object,
        status: { conditions: conditions.map((one) => (one.type === type ? { ...one, status: "True" } : one)) },
      };
    };
    for (const type of types) expect([type, onlyBlockedBy(left(type))]).toEqual([type, undefined]);
    expect(onlyBlockedBy({ ...going(), status: {} })).toBeUndefined();
    expect(onlyBlockedBy({ ...going(), metadata: { name: "shop" } as ResourceObject["metadata"] })).toBeUndefined();
  });

  test("nor when the message names fewer than it counts, or is another", () => {
    expect(onlyBlockedBy(going({}, message.replace("2 failing", "3 failing")))).toBeUndefined();
    expect(onlyBlockedBy(going({}, "connection refused"))).toBeUndefined();
  });
});

describe("whom to believe", () => {
  test("is not read where the cluster does not say", () => {
    expect(readFrontProxyTrust({})).toContain("requestheader-client-ca-file");
    expect(readFrontProxyTrust({ "requestheader-allowed-names": "{" })).toContain("cannot be read");
    expect(readFrontProxyTrust({ "requestheader-group-headers": '["a", 1]' })).toContain("no list of texts");
  });
});
