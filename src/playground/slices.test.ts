import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EndpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Service } from "#api/kubernetes/service.ts";
import { planSlices } from "./slices.ts";
import type { SlicePlan } from "./slices.ts";
import { metaOf, podOf, serviceOf } from "./testing/objects.ts";
import { runs } from "#base/testing/runs.ts";

const zoneOf = (node: string): string | undefined => (node === "n1" ? "zone-1" : undefined);

function plan(service: Service, pods: readonly Pod[], existing: readonly EndpointSlice[] = []): SlicePlan {
  return planSlices({ service, pods, existing, zoneOf });
}

/** The slices after a plan was carried out, as the API server would hold them. */
function apply(existing: readonly EndpointSlice[], { create, replace, remove }: SlicePlan): readonly EndpointSlice[] {
  const removed = new Set(remove.map(({ metadata }) => metadata.name));
  const replaced = new Map(replace.map((slice) => [slice.metadata.name, slice]));
  const kept = existing
    .filter(({ metadata }) => !removed.has(metadata.name))
    .map((slice) => replaced.get(slice.metadata.name) ?? slice);
  const made = create.map(({ metadata, ...body }): EndpointSlice => {
    const name = "name" in metadata ? (metadata.name ?? "") : "";
    return {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: metaOf(name, metadata),
      addressType: body.addressType,
      endpoints: body.endpoints,
      ports: body.ports ?? [],
    };
  });
  return [...kept, ...made];
}

const ready = { node: "n1", address: "10.10.0.2", readySince: 1 };

describe("a slice", () => {
  test("tells address, conditions, Pod, node and zone, and belongs to its Service", () => {
    const service = serviceOf("web", {
      ports: [{ name: "http", port: 80, protocol: "TCP", targetPort: 9080, appProtocol: "http" }],
    });
    const [slice, ...others] = plan({ ...service, metadata: metaOf("web", { labels: { team: "a" } }) }, [
      podOf("a", ready),
    ]).create;
    expect(others).toEqual([]);
    expect(slice?.metadata).toMatchObject({
      name: expect.stringMatching(/^web-[a-z0-9]{5}$/) as string,
      namespace: "shop",
      labels: {
        team: "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
      },
      ownerReferences: [{ kind: "Service", name: "web", controller: true }],
    });
    expect(slice?.ports).toEqual([{ name: "http", protocol: "TCP", port: 9080, appProtocol: "http" }]);
    expect(slice?.endpoints).toEqual([
      {
        addresses: ["10.10.0.2"],
        conditions: { ready: true, serving: true, terminating: false },
        targetRef: { kind: "Pod", namespace: "shop", name: "a", uid: "uid-a" },
        nodeName: "n1",
        zone: "zone-1",
      },
    ]);
  });

  test.each([
    ["ready", podOf("a", ready), {}, { ready: true, serving: true, terminating: false }],
    ["not ready", podOf("a", { address: "10.10.0.2" }), {}, { ready: false, serving: false, terminating: false }],
    [
      "ending",
      podOf("a", { ...ready, deletionTimestamp: "2026-01-01T00:00:00Z" }),
      {},
      { ready: false, serving: true, terminating: true },
    ],
    [
      "not ready but published",
      podOf("a", { address: "10.10.0.2" }),
      { publishNotReadyAddresses: true },
      { ready: true, serving: false, terminating: false },
    ],
  ])("has the conditions of a Pod that is %s", (_how, pod, spec, conditions) => {
    expect(plan(serviceOf("web", spec), [pod]).create[0]?.endpoints[0]?.conditions).toEqual(conditions);
  });

  test("holds no Pod without address or that has ended, and is there when there is none", () => {
    const pods = [podOf("a", { readySince: 1 }), podOf("b", { ...ready, phase: "Succeeded" })];
    expect(plan(serviceOf("web"), pods).create).toMatchObject([{ endpoints: [], ports: [] }]);
  });

  test("of a headless Service says so, and gives host names", () => {
    const pod = podOf("a", ready);
    const named = { ...pod, spec: { ...pod.spec, hostname: "a", subdomain: "web" } };
    const [slice] = plan(serviceOf("web", { clusterIP: "None" }), [named]).create;
    expect(slice?.metadata.labels).toHaveProperty("service.kubernetes.io/headless", "");
    expect(slice?.endpoints[0]?.hostname).toBe("a");
  });
});

describe("named ports", () => {
  const service = serviceOf("web", { ports: [{ name: "http", port: 80, protocol: "TCP", targetPort: "web" }] });
  const old = podOf("old", { ...ready, ports: [{ name: "web", containerPort: 8080 }] });
  const fresh = podOf("new", { ...ready, address: "10.10.0.3", ports: [{ name: "web", containerPort: 9090 }] });

  test("may mean other numbers in other Pods, in slices of their own; Pods without the name are left out", () => {
    const slices = plan(service, [old, fresh, podOf("none", ready)]).create;
    expect(
      slices.map(({ ports, endpoints }) => [ports?.[0]?.port, endpoints.map(({ targetRef }) => targetRef?.name)]),
    ).toEqual([
      [8080, ["old"]],
      [9090, ["new"]],
    ]);
  });

  test("a slice of ports that nobody has any more becomes that of the new ones, in one write", () => {
    const before = apply([], plan(service, [old]));
    const after = plan(service, [fresh], before);
    expect([after.create, after.remove]).toEqual([[], []]);
    expect(after.replace.map(({ metadata, ports }) => [metadata.name, ports?.[0]?.port])).toEqual([
      [before[0]?.metadata.name, 9090],
    ]);
  });
});

test("slices of an earlier Service of the same name are removed, and the new ones have other names", () => {
  const before = apply([], plan(serviceOf("web"), [podOf("a", ready)]));
  const again = { ...serviceOf("web"), metadata: metaOf("web", { uid: "another" }) };
  const { create, remove } = plan(again, [podOf("a", ready)], before);
  expect(remove).toEqual(before);
  expect(create.map(({ metadata }) => "name" in metadata && metadata.name)).not.toContain(before[0]?.metadata.name);
});

test("after any changes the slices hold exactly the Pods, no slice is too large, and what did not change is not written", () => {
  const pods = fc.uniqueArray(fc.nat(400), { maxLength: 320 }).map((ids) =>
    ids.map((id) =>
      podOf(`p${id}`, {
        ...ready,
        address: `10.10.${Math.floor(id / 250)}.${(id % 250) + 2}`,
        ...(id % 7 === 0 ? {} : { readySince: id }),
      }),
    ),
  );
  fc.assert(
    fc.property(fc.array(pods, { minLength: 1, maxLength: 4 }), (steps) => {
      const service = serviceOf("web");
      let slices: readonly EndpointSlice[] = [];
      for (const pods of steps) {
        slices = apply(slices, plan(service, pods, slices));
        const held = slices.flatMap(({ endpoints }) => endpoints.map(({ targetRef }) => targetRef?.name ?? ""));
        expect(held.toSorted()).toEqual(pods.map(({ metadata }) => metadata.name).toSorted());
        for (const { endpoints } of slices) expect(endpoints.length).toBeLessThanOrEqual(100);
        expect(new Set(slices.map(({ metadata }) => metadata.name)).size).toBe(slices.length);
        expect(plan(service, pods, slices)).toEqual({ create: [], replace: [], remove: [] });
      }
      const [first = []] = steps;
      const fewer = first.slice(1);
      const whole = apply([], plan(service, first));
      expect(plan(service, fewer, whole).replace.length).toBeLessThanOrEqual(1);
    }),
    { numRuns: runs(40) },
  );
});
