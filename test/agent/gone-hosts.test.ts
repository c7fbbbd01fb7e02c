/** A host that is gone sends nothing: connections to it must notice by themselves. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { command } from "#runtime/command.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { busy } from "../support/eventually.ts";
import { TestNetwork } from "../support/network.ts";

test(
  "a connection to it ends, and one that is made fails, long before the kernel would give up",
  { timeout: 120_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const network = stack.use(await TestNetwork.create("gone"));
    const [caller, host] = [await network.add("caller", "10.10.0.2"), await network.add("host", "10.10.0.3")];
    const start = (namespace: string, ...args: readonly string[]): ChildProcess => {
      const program = [process.execPath, join(import.meta.dirname, "gone-hosts-child.ts"), ...args] as const;
      const [file, ...argv] = inside(namespacePath(namespace), [...program]);
      const child = spawn(file, argv, { stdio: ["ignore", "pipe", "inherit"] });
      stack.defer(() => void child.kill("SIGKILL"));
      return child;
    };
    const linesOf = (child: ChildProcess): AsyncIterator<string> =>
      createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const next = async (lines: AsyncIterator<string>): Promise<string> => String((await lines.next()).value);

    expect(await next(linesOf(start(host, "serve")))).toBe("serves");
    const told = linesOf(start(caller, "call", "10.10.0.3"));
    expect(await next(told)).toBe("connected");
    const drop = "add table inet gone; add chain inet gone in { type filter hook input priority 0; policy drop; }";
    await command(inside(namespacePath(host), ["nft", drop]));
    const [, ended] = /^ended (\d+)$/.exec(await next(told)) ?? [];
    expect(Number(ended)).toBeLessThan(8_000 + 1_000 * busy);
    const [, refused] = /^not taken (\d+)$/.exec(await next(told)) ?? [];
    expect(Number(refused)).toBeGreaterThan(2_000);
    expect(Number(refused)).toBeLessThan(2_500 + 1_000 * busy);
  },
);
