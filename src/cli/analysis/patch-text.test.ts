import { describe, expect, test } from "vitest";
import { patchText, yamlPath } from "./patch-text.ts";

const plain = { removed: String, added: String, place: String };

const before = `name: "9080"
virtualHosts:
  - name: details:9080
    domains:
      - details
    routes:
      - match:
          prefix: /
        route:
          cluster: a
  - name: reviews:9080
    domains:
      - reviews
    routes:
      - match:
          prefix: /
        route:
          cluster: b
`;

describe("the place of a line", () => {
  const lines = before.split("\n");

  test.each([
    ["          cluster: b", ["virtualHosts", "reviews:9080", "routes", "route"]],
    ["          cluster: a", ["virtualHosts", "details:9080", "routes", "route"]],
    ["      - reviews", ["virtualHosts", "reviews:9080", "domains"]],
    [`name: "9080"`, []],
  ])("%s", (line, path) => expect(yamlPath(lines, lines.indexOf(line))).toEqual(path));
});

test("a change is shown below its place, with two lines around it", () => {
  expect(patchText(before, before.replace("cluster: b", "cluster: c"), plain)).toBe(
    [
      "  @@ virtualHosts > reviews:9080 > routes > route",
      "             prefix: /",
      "           route:",
      "  -          cluster: b",
      "  +          cluster: c",
      "",
    ].join("\n"),
  );
});

test("equal texts have nothing to show", () => expect(patchText(before, before, plain)).toBe(""));
