import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";

/** What is revoked. */
interface RevokeFlags {
  /** The server's `--state-dir`. */
  readonly stateDir: string;
  readonly user?: string;
  readonly serial?: string;
}

/** Revokes what the flags say. @returns what was. @throws WeftError `InvalidArgument`. */
async function revoke(endpoint: string, { stateDir, user, serial }: RevokeFlags): Promise<string> {
  const { Revocations } = await import("#apiserver/pki/revocations.ts");
  if ((user === undefined) === (serial === undefined)) {
    throw new WeftError("InvalidArgument", "say whose certificates by --user, or which one by --serial");
  }
  if (serial !== undefined && !/^(?:0x)?[0-9a-f]+(?::[0-9a-f]+)*$/i.test(serial)) {
    throw new WeftError("InvalidArgument", `${serial} is no serial number: write hexadecimal digits`);
  }
  const folder = join(stateDir, endpoint);
  if (!existsSync(join(folder, "ca.key"))) {
    throw new WeftError(
      "NotFound",
      `${folder} is not the state folder of an API: check --state-dir and the API's name`,
    );
  }
  const revocations = Revocations.open(folder);
  if (serial !== undefined) {
    revocations.add({ serial });
    return `certificate ${serial}`;
  }
  revocations.add({ user: user ?? "", until: systemClock.now() });
  return `all certificates of ${user} that were made until now`;
}

/** `weft revoke`. */
export function revokeCommand(program: Command): void {
  program
    .command("revoke")
    .summary("take client certificates of an API of this machine no more")
    .description(
      "Refuses a client certificate of an API of this machine's server, or all of a user that were made until now, and ends their connections within a second. Certificates that the user is given afterwards are taken. Tokens are not touched.",
    )
    .argument("<api>", "which API: mesh, or a cluster's name")
    .requiredOption("--state-dir <folder>", "the server's --state-dir")
    .option("--user <name>", "the user whose certificates are refused")
    .option("--serial <number>", "the certificate's serial number, as openssl x509 -serial prints it")
    .addHelpText("after", "\nExample:\n  weft revoke east --state-dir /var/lib/weft/demo/api --user ada")
    .action(async (endpoint: string, flags: RevokeFlags) => {
      process.stdout.write(`revoked at ${endpoint}: ${await revoke(endpoint, flags)}\n`);
    });
}
