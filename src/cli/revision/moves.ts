import type { Command } from "commander";
import { defaultRevisionName } from "#api/weft/revisions.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { objectionsTo } from "#controllers/revisions/checks.ts";
import { applyMove, back, isMovedTo, type Move, movesTo, settled } from "#controllers/revisions/moves.ts";
import { readRevisionsOf, revisionNamed, type Revisions } from "#controllers/revisions/state.ts";
import { removeTag, setTag, settleTag } from "#controllers/revisions/tags.ts";
import type { Client } from "#kube/client.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { wholeNumber } from "../output.ts";
import { tagTemplate } from "./tag.ts";

/** Milliseconds for which what speaks against a move may pass by itself, and between looks. */
const patienceMs = 15_000;
const lookMs = 1_000;

/**
 * Checks that proxies may follow a revision.
 * @returns what is known then.
 * @throws WeftError `FailedPrecondition` with all that speaks against it.
 */
async function checkMove(client: Client, revision: string, force: boolean): Promise<Revisions> {
  const until = systemClock.monotonic() + patienceMs;
  for (;;) {
    const known = await readRevisionsOf(client, systemClock.now());
    const found = objectionsTo(known, revision);
    if (found.length === 0 || force) return known;
    if (systemClock.monotonic() > until) {
      const all = found.map((each) => `  ${each}`).join("\n");
      throw new WeftError(
        "FailedPrecondition",
        `not now; --force moves nevertheless. Of revision ${revision}:\n${all}`,
      );
    }
    await systemClock.sleep(lookMs);
  }
}

async function apply(client: Client, moves: readonly Move[]): Promise<void> {
  for (const move of moves) {
    await applyMove(client, move);
    console.log(`  ${move.namespace.metadata.name} ${move.before === null ? "has its own labels again" : "is moved"}`);
  }
  if (moves.length === 0) console.log("  no namespace changes");
  else console.log("Proxies of nodes' agents follow at once, injected ones when their Pods are made anew");
}

interface MoveFlags extends ApiFlags {
  readonly percent?: number;
  readonly namespace?: readonly string[];
  readonly force?: boolean;
}

async function move(revision: string, { percent, namespace = [], force = false, ...flags }: MoveFlags): Promise<void> {
  if (percent === undefined && namespace.length === 0)
    throw new WeftError("InvalidArgument", "give --percent or --namespace");
  using api = await openApi(flags);
  const { client } = api;
  const known = await checkMove(client, revision, force || (percent === 0 && namespace.length === 0));
  const missing = namespace.filter((name) => !known.namespaces.some(({ metadata }) => metadata.name === name));
  if (missing.length > 0) {
    const fix = "label them istio-injection=enabled or mesh.weft.dev/sidecar=node first";
    throw new WeftError("InvalidArgument", `not namespaces of the mesh: ${missing.join(", ")}; ${fix}`);
  }
  await apply(client, movesTo(known.namespaces, revision, { percentage: percent, named: new Set(namespace) }));
}

const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
const forceFlag = ["--force", "whatever speaks against it"] as const;

/** `weft revision move`. */
export function moveCommand(group: Command): void {
  withApiFlags(group.command("move"))
    .summary("have namespaces follow a revision")
    .argument("<revision>", "the revision")
    .description(
      "Has a share of the mesh's namespaces follow a revision, or some by name, by the label istio.io/rev; what they were labelled with is noted on them. It is checked before that the revision serves, is no older, has everything in sync and finds nothing anew.",
    )
    .option(
      "--percent <number>",
      "namespaces of a hundred, of those that no label binds to a revision; a greater share adds to a smaller one, and a smaller one takes back",
      wholeNumber(0, 100),
    )
    .option("--namespace <name>", "a namespace; may be repeated", several)
    .option(...forceFlag)
    .addHelpText(
      "after",
      "\nExamples:\n  weft revision move 1-1 --percent 20\n  weft revision move 1-1 --namespace shop --namespace stock",
    )
    .action(move);
}

/** `weft revision rollback`. */
export function rollbackCommand(group: Command): void {
  withApiFlags(group.command("rollback"))
    .summary("have all that was moved to a revision go back")
    .argument("<revision>", "the revision")
    .addHelpText("after", "\nExample:\n  weft revision rollback 1-1")
    .action(async (revision: string, flags: ApiFlags) => {
      using api = await openApi(flags);
      const { client } = api;
      const known = await readRevisionsOf(client, systemClock.now());
      for (const { tag, before } of revisionNamed(known, revision).tags) {
        if (before === undefined || before === "") continue;
        if (tag === defaultRevisionName && before === defaultRevisionName) await removeTag(client, tag);
        else {
          const template = tagTemplate(tag, before);
          await setTag(client, { tag, revision: before, template, overwrite: true, remember: false });
        }
        console.log(`  the tag ${tag} stands for revision ${before} again`);
      }
      await apply(
        client,
        known.namespaces.filter((each) => isMovedTo(each, revision)).map((each) => back(each)),
      );
    });
}

/** `weft revision finish`. */
export function finishCommand(group: Command): void {
  withApiFlags(group.command("finish"))
    .summary("have everybody follow a revision, for good")
    .argument("<revision>", "the revision")
    .description(
      "Has the tag default stand for a revision, and gives namespaces that were moved to it their own labels again. What was moved cannot be rolled back any more. The old revision can be removed once nobody is on it (weft revision remove).",
    )
    .option(...forceFlag)
    .addHelpText("after", "\nExample:\n  weft revision finish 1-1")
    .action(async (revision: string, { force = false, ...flags }: ApiFlags & { readonly force?: boolean }) => {
      using api = await openApi(flags);
      const { client } = api;
      const known = await checkMove(client, revision, force);
      const tag = defaultRevisionName;
      const template = tagTemplate(tag, revision);
      await setTag(client, { tag, revision, template, overwrite: true, remember: false });
      console.log(`  the tag ${tag} stands for revision ${revision}`);
      for (const each of revisionNamed(known, revision).tags) await settleTag(client, each);
      await apply(
        client,
        known.namespaces.filter((each) => isMovedTo(each, revision)).map((each) => settled(each)),
      );
    });
}
