/**
 * Who may call what, by the identities of workloads whose proxies have certificates of the mesh. Names of rows begin with
 * headings of Istio's reference "Authorization Policy" and of its page of concepts "Security".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { crossedGroups } from "./crossed-groups.ts";
import { echoOn, groupPath, policiesByPath, type Row, rowsOf } from "./policy-matrix.ts";
import { authentication, withTokens } from "./token-kinds.ts";
import { World } from "./world.ts";

const denied = "403 RBAC: access denied";

/** Rules by the path that they are for, and who gets what there: `cart`, `till`, `uncertified`, `plain`. */
const paths: readonly (readonly [heading: string, action: string, from: string, outcomes: readonly string[]])[] = [
  ["Source", "ALLOW", "principals: [cluster.local/ns/shop/sa/cart]", ["allowed", denied, denied, denied]],
  ["Source", "ALLOW", "namespaces: [bank]", [denied, "allowed", denied, denied]],
  ["Source", "ALLOW", "serviceAccounts: [cart, bank/other]", ["allowed", denied, denied, denied]],
  ["Source", "ALLOW", "trustDomains: [cluster.local]", ["allowed", "allowed", denied, denied]],
  ["Source", "ALLOW", "notPrincipals: ['*/sa/till']", ["allowed", denied, "allowed", "allowed"]],
  ["Authenticated and unauthenticated identity", "ALLOW", "principals: ['*']", ["allowed", "allowed", denied, denied]],
  [
    "Authenticated and unauthenticated identity",
    "DENY",
    "notPrincipals: ['*']",
    ["allowed", "allowed", denied, denied],
  ],
  [
    "Authenticated and unauthenticated identity",
    "DENY",
    "namespaces: [shop]",
    [denied, "allowed", "allowed", "allowed"],
  ],
];
const callers = ["cart", "till", "uncertified", "plain"] as const;
type CallerName = (typeof callers)[number];

function policies(): string {
  const texts = paths.flatMap(([, action, from], at) => {
    const policy = (name: string, does: string, more: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: server } }
  action: ${does}
  rules: [{ ${more} to: [{ operation: { paths: [/${at}] } }] }]
`;
    const own = policy(`rule-${at}`, action, `from: [{ source: { ${from} } }],`);
    return action === "ALLOW" ? [own] : [own, policy(`open-${at}`, "ALLOW", "")];
  });
  return texts.join("---");
}

const bytes = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: bytes }
spec:
  selector: { matchLabels: { app: server } }
  rules: [{ from: [{ source: { namespaces: [bank] } }], to: [{ operation: { ports: ["9001"] } }] }]
`;

let world: World;

beforeAll(async () => {
  world = await World.start("ma", {
    proxies: [
      { name: "cart", labels: { app: "cart" }, identity: "cart" },
      { name: "till", namespace: "bank", labels: { app: "till" }, identity: "till" },
      { name: "uncertified", labels: { app: "uncertified" } },
      { name: "server", labels: { app: "server" }, identity: "server", serves: true },
    ],
    services: [
      {
        name: "server",
        servedBy: ["server"],
        ports: [
          { name: "http", port: 80, to: "http" },
          { name: "tcp", port: 90, to: "raw" },
        ],
      },
    ],
    istio: [policies(), bytes, policiesByPath(crossedGroups, "server"), await authentication()],
  });
  await eventually("the workloads reach each other", async () => (await outcome("cart", "/0")) === "allowed");
}, 120_000);

afterAll(async () => world[Symbol.asyncDispose]());

type Headers = Readonly<Record<string, string>>;

async function outcome(caller: CallerName, path: string, headers: Headers = {}): Promise<string> {
  const { status, text, seen } =
    caller === "plain"
      ? await world.outside.send(`http://${world.addressOf("server")}:8080${path}`, { headers, fresh: true })
      : await world.caller(caller).send(`http://server.shop.svc.cluster.local${path}`, { headers, fresh: true });
  return seen?.pod === "server" ? "allowed" : `${status} ${text}`;
}

describe("workloads of the mesh", () => {
  const rows = paths.flatMap(([heading, action, from, outcomes], at) =>
    callers.map((caller, index) => ({
      heading,
      action,
      from,
      caller,
      path: `/${at}`,
      expected: outcomes[index] ?? "",
    })),
  );

  test.each(rows)("$heading: $action $from: $caller gets $expected", async ({ caller, path, expected }) => {
    expect(await outcome(caller, path)).toBe(expected);
  });

  test.each([
    ["till", "hello\n"],
    ["cart", ""],
    ["uncertified", ""],
  ])("Using Istio authorization on plain TCP protocols: %s gets %o", async (caller, got) => {
    const socket = await world.caller(caller).connect("server.shop.svc.cluster.local", 90);
    expect(await echoOn(socket)).toBe(got);
  });

  test("an edit of a policy holds for requests on connections that were open before", async () => {
    expect(await outcome("till", "/0")).toBe(denied);
    world.apply(policies().replace("[cluster.local/ns/shop/sa/cart]", "[cluster.local/ns/bank/sa/till]"));
    await eventually("the edit holds", async () => (await outcome("till", "/0")) === "allowed");
    await eventually("and for the other too", async () => (await outcome("cart", "/0")) === denied);
  });
});

describe("each workload with each token and each policy", () => {
  const isCaller = (name: string): name is CallerName => callers.some((each) => each === name);

  /** What becomes of a request of a group, whose policies are for a path of its own. */
  async function crossed({ at, caller, path, headers }: Row): Promise<string> {
    if (!isCaller(caller)) throw new Error(`nobody is called ${caller}`);
    const sent = Object.entries(headers).map(([name, value]) => [name, withTokens(value)]);
    return outcome(caller, `${groupPath(at)}${path}`, Object.fromEntries(sent) as Headers);
  }

  test.each(rowsOf(crossedGroups).map((row) => [row.title, row] as const))("%s", async (_title, row) => {
    expect(await crossed(row)).toBe(row.outcome === "denied" ? denied : row.outcome);
  });
});
