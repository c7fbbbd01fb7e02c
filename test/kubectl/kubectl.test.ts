import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kubectl, kubectlPath, type Outcome } from "./kubectl.ts";
import { deployment, service, virtualService } from "./manifests.ts";
import { table, type Step } from "./table.ts";
import { startWorld } from "./world.ts";

const releases = JSON.parse(readFileSync("releases.json", "utf8")) as {
  kubectl: { versions: Record<string, unknown> };
};

/** What a command did otherwise than it should, with all that it said. */
function problems({ run, code = 0, says = [], lacks = [], complains = [] }: Step, outcome: Outcome): string[] {
  const wrong = [
    ...(outcome.code === code ? [] : [`ended with ${outcome.code}, not ${code}`]),
    ...says.filter((text) => !pattern(text).test(outcome.stdout)).map((text) => `does not say ${String(text)}`),
    ...lacks.filter((text) => pattern(text).test(outcome.stdout)).map((text) => `says ${text}`),
    ...complains
      .filter((text) => !pattern(text).test(outcome.stderr))
      .map((text) => `does not complain ${String(text)}`),
  ];
  return wrong.length === 0 ? [] : [`kubectl ${run}`, ...wrong, outcome.stdout, outcome.stderr];
}

function pattern(text: string | RegExp): RegExp {
  return typeof text === "string" ? new RegExp(RegExp.escape(text)) : text;
}

describe.each(Object.keys(releases.kubectl.versions))("kubectl %s", (version) => {
  const resources = new AsyncDisposableStack();
  let kubectl: Kubectl;

  async function perform(step: Step): Promise<string[]> {
    const { run, on = "east", input, env, until, meanwhile = [] } = step;
    const watching = Promise.withResolvers<void>();
    const running = kubectl.run(on, run.split(" "), {
      ...(input === undefined ? {} : { input }),
      ...(env === undefined ? {} : { env }),
      ...(until === undefined ? {} : { until }),
      watching: () => watching.resolve(),
    });
    if (meanwhile.length > 0) await Promise.race([watching.promise, running]);
    const others: string[] = [];
    for (const other of meanwhile) others.push(...(await perform(other)));
    return [...others, ...problems(step, await running)];
  }

  beforeAll(async () => {
    const program = kubectlPath(version);
    const world = resources.use(await startWorld());
    kubectl = resources.use(new Kubectl(program, world.urls));
    const namespaces = (["mesh", "east", "west"] as const).flatMap((on): Step[] => [
      { run: "create ns work", on },
      { run: "create ns shop", on },
    ]);
    const input = [deployment("web", 2), service("web"), virtualService("web", "shop", "web")].join("---\n");
    const shop: readonly Step[] = [
      ...namespaces,
      { run: "apply -f - -n shop", input },
      { run: "rollout status deploy/web -n shop --timeout=20s", says: ["successfully rolled out"] },
    ];
    for (const step of shop) {
      const wrong = await perform(step);
      if (wrong.length > 0) throw new Error(wrong.join("\n"));
    }
  }, 120_000);
  afterAll(() => resources.disposeAsync());

  test.each(table)("%s", { timeout: 60_000 }, async (_, steps) => {
    for (const step of steps) expect(await perform(step)).toEqual([]);
  });
});
