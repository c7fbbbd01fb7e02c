import type { Command } from "commander";
import type { ResourceObject } from "#api/meta.ts";
import { codeOf, WeftError } from "#base/errors.ts";
import { wholeNumber } from "../output.ts";
import { resourcePath } from "../resources.ts";
import { objectAt, openHistory, withObjectFlags, written, type ObjectFlags, type ObjectHistory } from "./records.ts";

interface RollbackFlags extends ObjectFlags {
  readonly to: number;
  readonly dryRun?: boolean;
}

/** The object as it is now; undefined when it is gone. */
async function current({ api, resource, namespace, name }: ObjectHistory): Promise<ResourceObject | undefined> {
  const path = resourcePath(resource, namespace, name);
  return api.client.json<ResourceObject>({ method: "GET", path }).catch((error: unknown) => {
    if (codeOf(error) === "NotFound") return undefined;
    throw error;
  });
}

/** Writes an object as it was. The write is bound to the version that was read, so that no other write is lost. */
async function rollback(history: ObjectHistory, { to, dryRun = false }: RollbackFlags): Promise<string> {
  const { api, resource, namespace, name, title } = history;
  if (resource.plural === "secrets") {
    throw new WeftError("FailedPrecondition", "histories of Secrets have no values, so they cannot be rolled back");
  }
  const before = written(objectAt(history, to)) as ResourceObject;
  const now = await current(history);
  const query = dryRun ? { dryRun: "All" } : {};
  if (now === undefined) {
    const path = resourcePath(resource, namespace);
    await api.client.json({ method: "POST", path, body: before, query });
  } else {
    const { resourceVersion } = now.metadata;
    const body = { ...before, metadata: { ...before.metadata, resourceVersion } };
    await api.client.json({ method: "PUT", path: resourcePath(resource, namespace, name), body, query });
  }
  return `${title} is as revision ${to} left it${dryRun ? " (dry run)" : ""}\n`;
}

/** `weft rollback`: an object as it was. */
export function rollbackCommand(program: Command): void {
  withObjectFlags(program.command("rollback"))
    .summary("write an object as it was")
    .description(
      "Writes an object as one of its revisions left it, its status aside; makes it again if it is gone. It is checked as any write, and has a revision of its own.",
    )
    .argument("<object>", "KIND/NAME, such as virtualservice/reviews")
    .requiredOption("--to <revision>", "the revision, from weft history", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--dry-run", "check it, and write nothing")
    .addHelpText("after", "\nExample:\n  weft rollback vs/reviews -n shop --to 1204")
    .action(async (text: string, flags: RollbackFlags) => {
      using history = await openHistory(text, flags);
      process.stdout.write(await rollback(history, flags));
    });
}
