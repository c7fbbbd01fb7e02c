import { expect, test } from "vitest";
import { parseEtcdAddress } from "./address.ts";
import { KeySpace } from "./keys.ts";

test("an address names members and a prefix", () => {
  expect(parseEtcdAddress("etcds://a.example,b.example:2380,[fd00::1]:1/weft/mesh-1/")).toEqual({
    endpoints: ["a.example:2379", "b.example:2380", "[fd00::1]:1"],
    secure: true,
    prefix: "/weft/mesh-1",
  });
  expect(parseEtcdAddress("etcd://localhost,[::1]")).toMatchObject({
    endpoints: ["localhost:2379", "[::1]:2379"],
    prefix: "/weft",
  });
});

test.each([
  ["etcd://10.0.0.1/weft", "is on another machine: use etcds://"],
  ["etcds:///weft", "is no etcd"],
  ["http://localhost", "is no etcd"],
  ["etcds://a:0/weft", "is no HOST:PORT"],
  ["etcds://a:65536", "is no HOST:PORT"],
  ["etcds://a b", "is no HOST:PORT"],
  ["etcds://a,,b", "is no HOST:PORT"],
  ["etcds://a/we ft", "is no prefix"],
  ["etcds://a//weft", "is no prefix"],
  ["etcds://a/weft/..", "is no prefix"],
  ["etcds://a/weft/weft.v1/objects", "is no prefix"],
])("%s is refused", (text, problem) => {
  expect(() => parseEtcdAddress(text)).toThrow(problem);
});

test("a key of an object leads back to it, and no store's keys lie within another's", () => {
  const keys = new KeySpace("/weft/a");
  for (const key of [
    { partition: "cluster/east", resource: "pods", namespace: "shop", name: "a:b%2F" },
    { partition: "mesh", resource: "clusters.mesh.weft.dev", namespace: "", name: "%" },
  ]) {
    expect(keys.objectOf(keys.object(key))).toEqual(key);
    expect(keys.object(key).toString()).toMatch(/^\/weft\/a\/weft\.v1\/objects\/[^/]+\/[^/]+\/[^/]*\/[^/]+$/);
  }
  expect(keys.objectOf(Buffer.from("/weft/a/weft.v1/objects/mesh/pods/x"))).toBeUndefined();
  const { key, rangeEnd } = keys.followed;
  const follows = (text: string): boolean =>
    key.compare(Buffer.from(text)) <= 0 && rangeEnd.compare(Buffer.from(text)) > 0;
  expect(["/head", "/objects/mesh/pods/n/a"].map((end) => follows(`/weft/a/weft.v1${end}`))).toEqual([true, true]);
  const others = ["compaction", "pruning", "records/mesh/pods/n/a/w.1"].map((end) => `/weft/a/weft.v1/${end}`);
  for (const other of ["/weft/a/b/weft.v1/head", "/weft/ab/weft.v1/head", "/weft/weft.v1/head", ...others]) {
    expect([other, follows(other)]).toEqual([other, false]);
  }
});
