import type { Command, Option } from "commander";

/** Shells that completion scripts are written for. */
export const shells = ["bash", "zsh", "fish"] as const;

/** One of the shells. */
export type Shell = (typeof shells)[number];

const scripts: Readonly<Record<Shell, string>> = {
  bash: `# weft completion for bash: source <(weft completion bash)
_weft() {
  local IFS=$'\\n'
  COMPREPLY=($("$1" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _weft weft
`,
  zsh: `#compdef weft
# weft completion for zsh: source <(weft completion zsh)
_weft() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete -- "\${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)}")
  compadd -a found
}
compdef _weft weft
`,
  fish: `# weft completion for fish: weft completion fish | source
complete -c weft -f -a '(weft __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
};

/** The script that makes a shell ask \`weft\` for completions. */
export function completionScript(shell: Shell): string {
  return scripts[shell];
}

/** Words that a positional argument may take, given the command's name; used for names of proxies. */
export type ArgumentWords = (command: string, position: number) => Promise<readonly string[]>;

function optionOf(command: Command, word: string): Option | undefined {
  return command.options.find((option) => option.short === word || option.long === word);
}

/**
 * What may stand at the place of the last word.
 * @param words everything after the program's name, the last one being the word that is written (perhaps empty).
 */
export async function complete(
  program: Command,
  words: readonly string[],
  argumentWords: ArgumentWords,
): Promise<readonly string[]> {
  const done = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  let command = program;
  let path = "";
  let positions = 0;
  let waiting: Option | undefined;
  for (const word of done) {
    if (waiting) waiting = undefined;
    else if (word.startsWith("-")) {
      const option = optionOf(command, word);
      waiting = option && (option.required || option.optional) ? option : undefined;
    } else {
      const child: Command | undefined = command.commands.find(
        (one) => one.name() === word || one.aliases().includes(word),
      );
      if (child) {
        command = child;
        path = `${path} ${child.name()}`.trim();
        positions = 0;
      } else positions += 1;
    }
  }
  const candidates = waiting
    ? (waiting.argChoices ?? [])
    : current.startsWith("-")
      ? command.options.filter((option) => !option.hidden).map((option) => option.long ?? option.short ?? "")
      : await wordsFor(command, path, positions, argumentWords);
  return candidates.filter((candidate) => candidate.startsWith(current)).toSorted();
}

async function wordsFor(
  command: Command,
  path: string,
  position: number,
  argumentWords: ArgumentWords,
): Promise<readonly string[]> {
  const visible = command.createHelp().visibleCommands(command);
  if (visible.length > 0) return visible.map((one) => one.name());
  const choices = command.registeredArguments[position]?.argChoices;
  return choices ?? (await argumentWords(path, position));
}
