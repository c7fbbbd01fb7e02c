import fc from "fast-check";
import { expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { runs } from "#base/testing/runs.ts";
import { namespaceRow, nodeRow, podRow, serviceRow, sliceRow } from "#model/rows.ts";
import { trimmedNamespace, trimmedNode, trimmedPod, trimmedService, trimmedSlice } from "./trim.ts";

const word = fc.constantFrom(
  "a",
  "b",
  "http",
  "Ready",
  "True",
  "Always",
  "TCP",
  "10.0.0.1",
  "networking.istio.io/exportTo",
);
const names = fc.constantFrom(
  "networking.istio.io/exportTo",
  "networking.istio.io/traffic-distribution",
  "topology.istio.io/network",
  "other",
  "kubernetes.io/service-name",
);
const map = fc.dictionary(names, word);
const port = fc.record({ name: word, containerPort: fc.nat(9), port: fc.nat(9), protocol: word }, { requiredKeys: [] });
const container = fc.record(
  { name: word, image: word, restartPolicy: word, ports: fc.array(port) },
  { requiredKeys: ["name"] },
);
const body = fc.record(
  {
    spec: fc.record(
      {
        containers: fc.array(container),
        initContainers: fc.array(container),
        nodeName: word,
        serviceAccountName: word,
        hostname: word,
        subdomain: word,
        volumes: fc.array(word),
        podCIDR: word,
        selector: map,
        type: fc.constantFrom("LoadBalancer", "ClusterIP"),
        externalIPs: fc.array(word),
        ports: fc.array(port),
      },
      { requiredKeys: [] },
    ),
    status: fc.record(
      {
        phase: fc.constantFrom("Running", "Failed"),
        podIP: word,
        conditions: fc.array(
          fc.record({ type: word, status: word, reason: word, lastTransitionTime: word }, { requiredKeys: ["type"] }),
        ),
        loadBalancer: fc.record({ ingress: fc.array(fc.record({ ip: word })) }),
      },
      { requiredKeys: [] },
    ),
    addressType: fc.constant("IPv4"),
    endpoints: fc.array(
      fc.record({ addresses: fc.array(word), nodeName: word, zone: word }, { requiredKeys: ["addresses"] }),
    ),
    ports: fc.array(port),
  },
  { requiredKeys: ["addressType"] },
);
const object: fc.Arbitrary<ResourceObject> = fc.tuple(map, map, body).map(([labels, annotations, rest]) => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: {
    name: "n",
    namespace: "s",
    uid: "u",
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: "2026-01-01T00:00:00Z",
    labels,
    annotations,
  },
  ...rest,
}));

test("what is left of an object means the same to the model", () => {
  const kinds = [
    [podRow, trimmedPod],
    [nodeRow, trimmedNode],
    [serviceRow, trimmedService],
    [namespaceRow, trimmedNamespace],
    [sliceRow, trimmedSlice],
  ] as const;
  fc.assert(
    fc.property(object, (whole) => {
      for (const [row, trimmed] of kinds) expect(row(trimmed(whole), "east")).toEqual(row(whole, "east"));
    }),
    { numRuns: runs(200) },
  );
});

test("a Pod is kept without what runs in it", () => {
  const whole = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "n",
      uid: "u",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: "",
      annotations: { "kubectl.kubernetes.io/last-applied": "long" },
    },
    spec: { containers: [{ name: "c", image: "i", env: [{ name: "SECRET", value: "s3cret" }] }], volumes: [{}] },
    status: { phase: "Running", containerStatuses: [{}], conditions: [] },
  };
  const kept = JSON.stringify(trimmedPod(whole));
  for (const gone of ["s3cret", "volumes", "image", "last-applied", "containerStatuses"])
    expect(kept).not.toContain(gone);
});
