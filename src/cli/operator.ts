import type { Command } from "commander";
import { analyzeCommand } from "./analysis/analyze.ts";
import { diffCommand } from "./analysis/diff.ts";
import { explainCommand } from "./analysis/explain.ts";
import { applyCommand, deleteCommand } from "./apply.ts";
import { type Shell, complete, completionScript, shells } from "./completion.ts";
import { clusterCommand } from "./cluster/command.ts";
import { caCommand } from "./ca/command.ts";
import { openApi } from "./context.ts";
import { credentialsCommand } from "./credentials.ts";
import { revokeCommand } from "./revoke.ts";
import { demoCommand } from "./demo/command.ts";
import { getCommand } from "./get.ts";
import { historyCommand } from "./history/history.ts";
import { rollbackCommand } from "./history/rollback.ts";
import { meshCommand } from "./mesh/command.ts";
import { memberObjectsCommand } from "./member-objects.ts";
import { proxyConfigCommand } from "./proxy/config.ts";
import { installCommand } from "./install/install.ts";
import { uninstallCommand } from "./install/uninstall.ts";
import { revisionCommand } from "./revision/command.ts";
import { listProxies, proxyName } from "./proxy/proxies.ts";
import { proxyStatusCommand } from "./proxy/status.ts";
import { apiResources } from "./resources.ts";
import { sidecarCommand } from "./sidecar/command.ts";
import { versionCommand } from "./version.ts";

/** Names that the API knows, for completion; none where there is no API. */
async function knownWords(command: string, position: number): Promise<readonly string[]> {
  try {
    using api = await openApi({});
    if (command.startsWith("proxy-config") && position === 0) return (await listProxies(api.client)).map(proxyName);
    if (["get", "delete"].includes(command) && position === 0)
      return (await apiResources(api.client)).map((one) => one.plural);
    return [];
  } catch {
    return [];
  }
}

/** `weft completion SHELL`, and the hidden command that its scripts call. */
function completionCommands(program: Command): void {
  program
    .command("completion")
    .summary("print a completion script for a shell")
    .addHelpText("after", "\nExamples:\n  source <(weft completion bash)\n  weft completion fish | source")
    .addArgument(program.createArgument("<shell>", "shell").choices(shells))
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell));
    });
  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .action(async (words: readonly string[]) => {
      const found = await complete(program, words, knownWords);
      for (const word of found) console.log(word);
    });
}

/** Commands of operators, which end when they have done what they were told. */
export function operatorCommands(program: Command): void {
  demoCommand(program);
  proxyStatusCommand(program);
  proxyConfigCommand(program);
  sidecarCommand(program);
  memberObjectsCommand(program);
  analyzeCommand(program);
  explainCommand(program);
  diffCommand(program);
  historyCommand(program);
  rollbackCommand(program);
  getCommand(program);
  applyCommand(program);
  deleteCommand(program);
  credentialsCommand(program);
  revokeCommand(program);
  caCommand(program);
  meshCommand(program);
  clusterCommand(program);
  installCommand(program);
  uninstallCommand(program);
  revisionCommand(program);
  versionCommand(program);
  completionCommands(program);
}
