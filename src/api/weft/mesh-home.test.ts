import { expect, test } from "vitest";
import { FieldPath } from "../field.ts";
import { type HomeMembers, type MeshHome, validateHome } from "./mesh-home.ts";

function errorsOf(members: HomeMembers): readonly string[] {
  const kubeconfigSecret = { namespace: "istio-system", name: "east" };
  const home: MeshHome = { kubeconfigSecret, store: { kind: "Memory" }, members };
  return [...validateHome(home, FieldPath.root.field("home"))].map((error) => `${error.field}: ${error.message}`);
}

test.each<[string, HomeMembers]>([
  ["a load balancer", { type: "LoadBalancer" }],
  ["ports of nodes", { type: "NodePort" }],
  ["ports of nodes at other addresses", { type: "NodePort", hosts: ["192.0.2.1", "2001:db8::1"] }],
  ["something of the users' own", { type: "ClusterIP", hosts: ["mesh.example"] }],
])("other clusters reach it by %s", (_what, members) => {
  expect(errorsOf(members)).toEqual([]);
});

test.each<[string, HomeMembers]>([
  [
    "home.members.hosts: Forbidden: a load balancer tells its hosts itself",
    { type: "LoadBalancer", hosts: ["192.0.2.1"] },
  ],
  ["home.members.hosts: Required value: say what leads to the Services", { type: "ClusterIP" }],
  [
    'home.members.hosts[1]: Invalid value: "a b": must be an address or a name',
    { type: "NodePort", hosts: ["192.0.2.1", "a b"] },
  ],
])("refused: %s", (said, members) => {
  expect(errorsOf(members)).toEqual([said]);
});
