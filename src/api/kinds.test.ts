import { describe, expect, test } from "vitest";
import { kindOf, kindOfObject, kindOfResource, kinds, kindsServedBy } from "./kinds.ts";
import { resourceName } from "./kind.ts";

describe("the registry", () => {
  test("finds every kind by its name and by its plural", () => {
    for (const kind of kinds) {
      expect(kindOf(kind.group, kind.kind)).toBe(kind);
      expect(kindOfResource(kind.group, kind.plural)).toBe(kind);
      for (const { name } of kind.versions) {
        const apiVersion = kind.group === "" ? name : `${kind.group}/${name}`;
        expect(kindOfObject({ apiVersion, kind: kind.kind })).toBe(kind);
      }
    }
  });

  test("finds nothing else", () => {
    expect(kindOf("", "Deployment")).toBeUndefined();
    expect(kindOfResource("apps", "pods")).toBeUndefined();
    expect(kindOfObject({ apiVersion: "networking.istio.io/v2", kind: "Gateway" })).toBeUndefined();
    expect(kindOfObject({ apiVersion: "apps/v1beta1", kind: "Deployment" })).toBeUndefined();
  });

  test("has no two kinds of a name that clients could confuse", () => {
    const names = kinds.map(resourceName);
    expect(new Set(names).size).toBe(names.length);
    const short = kinds.flatMap(({ shortNames }) => shortNames);
    expect(new Set(short).size).toBe(short.length);
  });

  test("serves all to a cluster's clients, and to the mesh's what is no cluster's own", () => {
    expect(kindsServedBy("cluster")).toEqual(kinds);
    const names = kindsServedBy("mesh").map(({ kind }) => kind);
    expect(names).toEqual(
      expect.arrayContaining([
        "VirtualService",
        "Sidecar",
        "Mesh",
        "Cluster",
        "Namespace",
        "Secret",
        "ConfigMap",
        "Event",
      ]),
    );
    for (const own of ["Pod", "Service", "Deployment", "Node", "EndpointSlice"]) expect(names).not.toContain(own);
  });
});
