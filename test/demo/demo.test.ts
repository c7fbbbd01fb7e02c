import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { busy, eventually } from "../support/eventually.ts";
import { LoadGenerator } from "../../samples/load/generator.ts";
import { Demo, traces } from "./demo.ts";
import { listenersTests } from "./listeners.ts";
import { answersToAnybody, answersToStranger, secretOf, secretWord, securityTests, writeSecret } from "./security.ts";

/** What must be the same after a demonstration as before it. */
function hostState(): string {
  const commands = [["ip", "-o", "link"], ["ip", "-o", "address"], ["ip", "route"], ["iptables-save"]] as const;
  const text = commands.map(([program, ...args]) => {
    // Counters and times change by themselves.
    return execFileSync(program, args, { encoding: "utf8" }).replaceAll(/\[\d+:\d+\]|^#.*$/gm, "");
  });
  return [
    ...text,
    readFileSync("/etc/resolv.conf", "utf8"),
    readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"),
  ].join("\n");
}

interface ProxyStatus {
  readonly proxy: string;
  readonly cluster: string;
  readonly types: Readonly<
    Record<string, { readonly state: string; readonly version: string; readonly since: string }>
  >;
}

/** Milliseconds for what takes several processes and many connections, on however busy a machine. */
const slow = 90_000;
const name = `test${process.pid}`;
const ports = [28_080, 26_540] as const;
const before = hostState();
let demo: Demo;

beforeAll(async () => {
  demo = await Demo.start(name, ...ports);
  await writeSecret(demo);
}, 180_000);

afterAll(async () => {
  // Also when its start failed.
  await Demo.stop(name);
}, 60_000);

/** Sets the routes of reviews; several versions are told apart by a DestinationRule. */
function reviewsRule(http: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
    - { name: v3, labels: { version: v3 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews]
  http:
${http
  .trim()
  .split("\n")
  .map((line) => `    ${line}`)
  .join("\n")}
`;
}

async function forgetRules(): Promise<void> {
  await demo.kubectl("mesh", [
    "-n",
    "shop",
    "delete",
    "virtualservice,destinationrule",
    "reviews",
    "--ignore-not-found",
  ]);
}

function tally(values: readonly (string | undefined)[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value ?? "none"] = (counts[value ?? "none"] ?? 0) + 1;
  return counts;
}

test("the page holds what all services answer, from both clusters", async () => {
  const page = await demo.page();
  expect(page.details.error).toBeUndefined();
  const versions = tally((await demo.pages(60)).map((one) => one.reviews.version));
  expect(Object.keys(versions).toSorted()).toEqual(["v1", "v2", "v3"]);
});

test("every proxy is in sync, and proxy-status says so", async () => {
  const statuses = JSON.parse(await demo.weft("proxy-status", "-o", "json")) as readonly ProxyStatus[];
  expect(new Set(statuses.map((one) => one.cluster))).toEqual(new Set(["east", "west"]));
  expect(statuses.length).toBeGreaterThanOrEqual(8);
  await eventually("all are SYNCED", async () => {
    const now = JSON.parse(await demo.weft("proxy-status", "-o", "json")) as readonly ProxyStatus[];
    return now.every((one) => Object.values(one.types).every((type) => type.state === "SYNCED"));
  });
  for (const { types } of statuses)
    expect(Object.keys(types)).toEqual(expect.arrayContaining(["CDS", "EDS", "LDS", "RDS"]));
});

test("proxy-config shows what an Envoy holds", async () => {
  expect(await demo.weft("proxy-config", "listeners", "page")).toContain("virtualInbound");
  expect(await demo.weft("proxy-config", "routes", "page")).toContain("reviews.shop.svc.cluster.local");
  expect(await demo.weft("proxy-config", "endpoints", "page")).toContain(
    "outbound|9080||reviews.shop.svc.cluster.local",
  );
  const clusters = JSON.parse(await demo.weft("proxy-config", "clusters", "page", "-o", "json")) as readonly {
    readonly name: string;
  }[];
  expect(clusters.map((one) => one.name)).toContain("outbound|9080||reviews.shop.svc.cluster.local");
  expect(await demo.weft("proxy-config", "bootstrap", "page")).toContain("admin");
});

test("logs of an application and of its proxy", async () => {
  await demo.page();
  expect(await demo.kubectl("east", ["-n", "shop", "logs", "deployment/page-v1"])).toContain("/api/page");
  const pod = (await demo.kubectl("east", ["-n", "shop", "get", "pods", "-l", "app=page", "-o", "name"])).trim();
  // kubectl logs -c takes only containers of the specification, and a sidecar of the agent is none.
  const path = `/api/v1/namespaces/shop/${pod.replace("pod/", "pods/")}/log?container=istio-proxy`;
  expect(await demo.kubectl("east", ["get", "--raw", path])).toContain("[warning]");
});

securityTests(() => demo);
listenersTests(() => demo);

describe("rules written through a cluster", () => {
  test("90/10: a thousand requests are shared as the VirtualService says, and the rule is the mesh's", async () => {
    await demo.apply(
      "west",
      reviewsRule(`
- route:
    - { destination: { host: reviews, subset: v1 }, weight: 90 }
    - { destination: { host: reviews, subset: v3 }, weight: 10 }`),
    );
    expect(await demo.kubectl("east", ["-n", "shop", "get", "vs", "reviews", "-o", "name"])).toContain("reviews");
    expect(await demo.kubectl("mesh", ["-n", "shop", "get", "vs", "reviews", "-o", "name"])).toContain("reviews");
    await eventually("the rule is in force", async () => {
      return (await demo.pages(30)).every((one) => one.reviews.version !== "v2");
    });
    const { v1 = 0, v3 = 0, ...others } = tally((await demo.pages(1000, 20)).map((one) => one.reviews.version));
    expect(others).toEqual({});
    expect(v1 + v3).toBe(1000);
    // Five standard deviations of a binomial with p = 0.1 and n = 1000 are 47.
    expect(Math.abs(v3 - 100)).toBeLessThan(47);
  }, 120_000);

  test("a fault reaches the page as an error of its part", async () => {
    await demo.apply(
      "east",
      reviewsRule(`
- fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
  route:
    - { destination: { host: reviews } }`),
    );
    await eventually("reviews answer 418", async () => (await demo.page()).reviews.status === 418);
  });

  test("a timeout cuts a slow answer short", async () => {
    await demo.apply(
      "mesh",
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: shop }
spec:
  hosts: [ratings]
  http:
    - fault: { delay: { fixedDelay: 3s, percentage: { value: 100 } } }
      route: [{ destination: { host: ratings } }]
${reviewsRule(`
- timeout: 0.3s
  route:
    - { destination: { host: reviews, subset: v2 } }`).replace(/^/, "---")}`,
    );
    await eventually("reviews are cut short with 504", async () => (await demo.page()).reviews.status === 504);
    await demo.kubectl("mesh", ["-n", "shop", "delete", "virtualservice", "ratings"]);
    await forgetRules();
    await eventually("all is well again", async () => (await demo.page()).reviews.error === undefined);
  });

  test("retries hide what fails by chance", async () => {
    await demo.kubectl("east", ["-n", "shop", "set", "env", "deployment/details-v1", "FAIL_PERCENT=30"]);
    await demo.kubectl("east", ["-n", "shop", "rollout", "status", "deployment/details-v1", "--timeout=60s"]);
    await eventually("some details are missing", async () =>
      (await demo.pages(30)).some((one) => one.details.status === 503),
    );
    await demo.apply(
      "west",
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: details, namespace: shop }
spec:
  hosts: [details]
  http:
    - retries: { attempts: 10, retryOn: 5xx, backoff: 1ms }
      route: [{ destination: { host: details } }]
`,
    );
    await eventually("none is missing", async () => (await demo.pages(30)).every((one) => !one.details.error));
    // Eleven failures in a row have a chance of one in half a million.
    expect(tally((await demo.pages(200)).map((one) => one.details.error))).toEqual({ none: 200 });
    await demo.kubectl("east", ["-n", "shop", "set", "env", "deployment/details-v1", "FAIL_PERCENT-"]);
    await demo.kubectl("east", ["-n", "shop", "rollout", "status", "deployment/details-v1", "--timeout=60s"]);
    await demo.kubectl("east", ["-n", "shop", "delete", "virtualservice", "details"]);
  }, 90_000);

  test("a mirror sees the requests, and the client none of it", async () => {
    await demo.apply(
      "east",
      reviewsRule(`
- route:
    - { destination: { host: reviews, subset: v1 } }
  mirrors:
    - { destination: { host: reviews, subset: v3 } }`),
    );
    await eventually("only v1 answers", async () =>
      (await demo.pages(20)).every((one) => one.reviews.version === "v1"),
    );
    const logged = async (): Promise<number> => {
      const log = await demo.kubectl("west", ["-n", "shop", "logs", "deployment/reviews-v3", "-c", "reviews"]);
      return log.split("\n").filter((line) => line.includes('"message":"request"')).length;
    };
    const had = await logged();
    const pages = await demo.pages(50);
    expect(tally(pages.map((one) => one.reviews.version))).toEqual({ v1: 50 });
    await eventually("v3 has seen them", async () => (await logged()) >= had + 50);
    await forgetRules();
  });

  test("an unknown host is a finding on the object, and nothing else changes", async () => {
    await demo.apply(
      "east",
      reviewsRule(`
- match: [{ headers: { x-test: { exact: "1" } } }]
  route:
    - { destination: { host: no-such-service } }
- route:
    - { destination: { host: reviews, subset: v1 } }`),
    );
    await eventually("the finding stands in the status", async () => {
      const text = await demo.kubectl("west", [
        "-n",
        "shop",
        "get",
        "vs",
        "reviews",
        "-o",
        "jsonpath={.status.conditions[0]}",
      ]);
      return text.includes("no-such-service");
    });
    expect((await demo.page()).reviews.version).toBe("v1");
    await forgetRules();
  });

  test("what Envoy refuses leaves its last good state, and the status says which proxy refused what", async () => {
    await demo.apply("east", reviewsRule("- route: [{ destination: { host: reviews, subset: v1 } }]"));
    await eventually("only v1 answers", async () =>
      (await demo.pages(20)).every((one) => one.reviews.version === "v1"),
    );
    // Which of its variables there are is for Envoy alone to say.
    await demo.apply(
      "east",
      reviewsRule(`
- match: [{ headers: { x-test: { exact: "1" } } }]
  headers: { request: { set: { x-answer: "%NO_SUCH_VARIABLE%" } } }
  route: [{ destination: { host: reviews, subset: v2 } }]
- route: [{ destination: { host: reviews, subset: v3 } }]`),
    );
    await eventually("the refusal stands in the status", async () => {
      const path = "{.status.conditions[?(@.type=='Programmed')].message}";
      const message = await demo.kubectl("west", ["-n", "shop", "get", "vs", "reviews", "-o", `jsonpath=${path}`]);
      return /refused by .*page-v1-.*\.shop \(east\)/.test(message);
    });
    expect(tally((await demo.pages(20)).map((one) => one.reviews.version))).toEqual({ v1: 20 });
    const statuses = JSON.parse(await demo.weft("proxy-status", "-o", "json")) as readonly ProxyStatus[];
    expect(statuses.find((one) => one.proxy.startsWith("page-v1-"))?.types["VHDS"]?.state).toBe("NACKED");
    await forgetRules();
    await eventually("every version answers again", async () => {
      return new Set((await demo.pages(30)).map((one) => one.reviews.version)).size === 3;
    });
  }, 60_000);

  test("an invalid object is refused with the field's path", async () => {
    const bad = reviewsRule("- timeout: soon\n  route: [{ destination: { host: reviews } }]");
    await expect(demo.apply("east", bad)).rejects.toThrow(/spec\.http\[0\]\.timeout/);
  });
});

/** Sends steady requests to the page for as long as an action takes; gives every failure. */
async function under(
  rps: number,
  action: () => Promise<void>,
): Promise<{ readonly requests: number; readonly failures: Readonly<Record<string, number>> }> {
  const stop = new AbortController();
  const failures: string[] = [];
  let requests = 0;
  const target = { url: `${demo.info.gateway}/api/page`, rps };
  const generator = new LoadGenerator(target, {
    done: ({ outcome }) => {
      requests += 1;
      if (outcome.kind !== "response") failures.push(outcome.kind);
      else if (outcome.status !== 200) failures.push(String(outcome.status));
    },
    // On a busy machine more are in flight than may be at once. One that hangs ends as a failure.
    skipped: () => undefined,
  });
  const running = generator.run(stop.signal);
  await action();
  stop.abort();
  await running;
  return { requests, failures: tally(failures) };
}

/** The demonstration's own processes, as its supervisor records them. */
function servicePid(service: string): number | undefined {
  const record = JSON.parse(readFileSync(`/run/weft/${name}/supervisor.json`, "utf8")) as {
    readonly services: Readonly<Record<string, { readonly pid: number }>>;
  };
  return record.services[service]?.pid;
}

/** Services of which the page's proxy has clusters. */
async function heldByPage(): Promise<readonly string[]> {
  const clusters = JSON.parse(await demo.weft("proxy-config", "clusters", "page", "-o", "json")) as readonly {
    readonly name: string;
  }[];
  const hosts = clusters.flatMap((one) => /^outbound\|\d+\|[^|]*\|([^.]+)/.exec(one.name)?.[1] ?? []);
  return [...new Set(hosts)].toSorted();
}

/** What was learned of the page's calls, and how its EgressScope is listed. */
async function learnedOfPage(): Promise<{ readonly services: readonly string[]; readonly row: string }> {
  const get = ["-n", "shop", "get", "egressscope", "page-v1", "--ignore-not-found"];
  const text = await demo.kubectl("west", [...get, "-o", "json"]);
  const { status } = JSON.parse(text || "{}") as { readonly status?: { readonly learned?: { host: string }[] } };
  const row = text === "" ? "" : await demo.kubectl("west", [...get, "--no-headers"]);
  const services = (status?.learned ?? []).map(({ host }) => host.replace(".shop.svc.cluster.local", ""));
  return { services: services.toSorted(), row: row.trim().replaceAll(/\s+/g, " ") };
}

/** Over HTTP, gRPC and TCP. */
const calledByPage = ["details", "reviews", "stock", "ticker"];

test("a workload switched to on-demand discovery calls what it does not hold yet, and what it learned can be seen", async () => {
  const { failures, requests } = await under(20, async () => {
    await demo.apply(
      "east",
      "{ apiVersion: mesh.weft.dev/v1alpha1, kind: EgressScope, metadata: { name: page-v1, namespace: shop }, spec: { discovery: OnDemand } }",
    );
    await eventually("its proxy holds what it calls", async () => (await heldByPage()).join() === calledByPage.join());
  });
  expect([failures, requests > 10]).toEqual([{}, true]);
  for (const { details, reviews } of await demo.pages(20))
    expect([details.error, reviews.error]).toEqual([undefined, undefined]);
  await eventually("it is learned", async () => (await learnedOfPage()).services.join() === calledByPage.join());
  await eventually("it says who holds it", async () =>
    (await learnedOfPage()).row.startsWith("page-v1 OnDemand 0 4 0 1 "),
  );
}, 60_000);

describe("while requests flow", () => {
  test("scaling up and down loses none", async () => {
    const { requests, failures } = await under(30, async () => {
      await demo.kubectl("east", ["-n", "shop", "scale", "deployment", "details-v1", "--replicas", "3"]);
      await demo.kubectl("east", ["-n", "shop", "rollout", "status", "deployment/details-v1", "--timeout=60s"]);
      await eventually(
        "three answer",
        async () => new Set((await demo.pages(30)).map((one) => one.details.pod)).size === 3,
      );
      await demo.kubectl("east", ["-n", "shop", "scale", "deployment", "details-v1", "--replicas", "1"]);
      await eventually(
        "one answers",
        async () => new Set((await demo.pages(30)).map((one) => one.details.pod)).size === 1,
      );
    });
    expect(failures).toEqual({});
    expect(requests).toBeGreaterThan(60);
  }, 120_000);

  test.each(["server", "discovery", "agent-east-1"])(
    "a killed %s is back, and no request fails",
    async (service) => {
      const { failures, requests } = await under(30, async () => {
        const pid = servicePid(service)!;
        process.kill(pid, "SIGKILL");
        await eventually("it runs again", () => servicePid(service) !== undefined && servicePid(service) !== pid);
        const inSync = async (): Promise<boolean> => {
          const statuses = JSON.parse(await demo.weft("proxy-status", "-o", "json")) as readonly ProxyStatus[];
          const types = statuses.flatMap((one) => Object.values(one.types));
          return statuses.length >= 8 && types.every((type) => type.state === "SYNCED");
        };
        await eventually("every proxy is in sync again", inSync, slow);
      });
      expect(failures).toEqual({});
      expect(requests).toBeGreaterThan(20);
    },
    120_000,
  );

  test("a killed Envoy is back within two seconds", async () => {
    const [pid] = demo.pids("west-1", "ratings-v1", "istio-proxy");
    process.kill(pid!, "SIGKILL");
    const from = performance.now();
    await eventually("another one runs and is ready", async () => {
      const [now] = demo.pids("west-1", "ratings-v1", "istio-proxy");
      const pods = await demo.kubectl("west", ["-n", "shop", "get", "pods", "-l", "app=ratings", "--no-headers"]);
      return now !== pid && /\b1\/1\b/.test(pods);
    });
    expect(performance.now() - from).toBeLessThan(2_000 * busy);
    await eventually("its requests are answered", async () => {
      return (await demo.pages(10)).every((one) => one.reviews.error === undefined && one.ratings?.error === undefined);
    });
  });

  test("a killed application's endpoint is gone within a second, and no request to the others fails", async () => {
    await demo.kubectl("east", ["-n", "shop", "scale", "deployment", "details-v1", "--replicas", "2"]);
    await demo.kubectl("east", ["-n", "shop", "rollout", "status", "deployment/details-v1", "--timeout=60s"]);
    await eventually(
      "two answer",
      async () => new Set((await demo.pages(20)).map((one) => one.details.pod)).size === 2,
    );
    const [pid] = demo.pids("east-1", "details-v1", "details");
    process.kill(pid!, "SIGKILL");
    const from = performance.now();
    const others = async (): Promise<boolean> => (await demo.pages(20)).every((one) => one.details.error === undefined);
    await eventually("those that do not ask it are answered", others);
    expect(performance.now() - from).toBeLessThan(1_000 * busy);
    const after = await demo.pages(200);
    expect(tally(after.map((one) => one.details.error))).toEqual({ none: 200 });
  }, 90_000);
});

test("what was learned is held from the start by a proxy that begins anew, for as long as it is called", async () => {
  // The control plane and the agent have begun anew since.
  const [pid] = demo.pids("east-1", "page-v1", "istio-proxy");
  process.kill(pid!, "SIGKILL");
  await eventually("another one runs and is ready", async () => {
    const pods = await demo.kubectl("east", ["-n", "shop", "get", "pods", "-l", "app=page", "--no-headers"]);
    return demo.pids("east-1", "page-v1", "istio-proxy")[0] !== pid && /\b1\/1\b/.test(pods);
  });
  expect(await heldByPage()).toEqual(calledByPage);
  const { details, reviews } = await demo.page();
  expect([details.error, reviews.error]).toEqual([undefined, undefined]);
  // It never asked for either by name: that they are called, only its counters tell.
  await demo.kubectl("mesh", ["patch", "mesh", "default", "--type=merge", "-p", '{"spec":{"forgetCallsAfter":"6s"}}']);
  const { failures } = await under(5, async () => {
    await sleep(10_000);
    expect((await learnedOfPage()).services).toEqual(calledByPage);
  });
  expect(failures).toEqual({});
  // Proxies are looked at through two servers and an agent, again and again: on a busy machine that takes its time.
  await eventually("what is not called is forgotten", async () => (await learnedOfPage()).services.length === 0, slow);
  await eventually("nor held", async () => (await heldByPage()).length === 0);
  const again = await demo.page();
  expect([again.details.error, again.reviews.error]).toEqual([undefined, undefined]);
}, 180_000);

test("a taken port is named with the flag that chooses another, and what the start said stays to be read", async () => {
  const other = `${name}b`;
  const log = `/var/lib/weft/${other}/logs/supervisor.log`;
  const line = /port 28080 for the ingress gateway is taken by .*: .* choose another with --gateway-port/;
  try {
    await expect(Demo.start(other, 28_080, 27_540)).rejects.toMatchObject({
      stdout: expect.stringMatching(line) as string,
      stderr: `weft: the demo did not start; its log is ${log}\n`,
    });
    expect(readFileSync(log, "utf8")).toMatch(line);
  } finally {
    await Demo.stop(other);
  }
  expect(traces(other)).toEqual({ namespaces: [], processes: [], folders: [] });
}, 60_000);

test("started again after its supervisor was killed, it goes on with what it was to keep", async () => {
  const rootOf = ["-n", "istio-system", "get", "configmap", "istio-ca-root-cert", "-o", "jsonpath={.data}"];
  const root = await demo.kubectl("west", rootOf);
  process.kill(demo.info.pid, "SIGKILL");
  demo = await Demo.start(name, ...ports, "--keep");
  expect(await demo.kubectl("west", rootOf)).toBe(root);
  expect(await demo.kubectl("mesh", [...secretOf, "jsonpath={.data.word}"])).toBe(btoa(secretWord));
  expect((await demo.page()).details.error).toBeUndefined();
  expect(await answersToStranger(demo)).toEqual(answersToAnybody);
}, 180_000);

test("when it has ended, everything is as it was", async () => {
  await demo[Symbol.asyncDispose]();
  expect(traces(name)).toEqual({ namespaces: [], processes: [], folders: [] });
  expect(hostState()).toBe(before);
}, 60_000);
