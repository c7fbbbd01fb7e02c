import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, expect, test, vi } from "vitest";
import { backdateMs } from "#apiserver/pki/authority.ts";
import { Revocations } from "#apiserver/pki/revocations.ts";
import { systemClock } from "#base/clock.ts";
import { credentialContext } from "#server/credential.ts";
import { revokeCommand } from "./revoke.ts";

const stateDir = mkdtempSync(join(tmpdir(), "weft-revoke-"));
afterAll(() => rmSync(stateDir, { recursive: true, force: true }));

/** A certificate as it is revoked. */
async function certificateOf(user: string) {
  const flags = { stateDir, server: "https://127.0.0.1:1", user, group: [], days: 1, namespace: "default" };
  const { server } = await credentialContext("east", flags, systemClock);
  const { serialNumber: serial, validFromDate } = new X509Certificate(server.certificate ?? "");
  return { user, serial, made: validFromDate.getTime() + backdateMs };
}

async function revoke(...flags: readonly string[]): Promise<string> {
  const said = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    const program = new Command();
    revokeCommand(program);
    await program.parseAsync(["revoke", ...flags], { from: "user" });
    return said.mock.calls.map(([text]) => String(text)).join("");
  } finally {
    said.mockRestore();
  }
}

test("weft revoke refuses a certificate, or all of a user; weft credentials then makes one that is taken", async () => {
  const at = ["east", "--state-dir", stateDir];
  const [first, second, other] = [await certificateOf("ada"), await certificateOf("ada"), await certificateOf("bob")];
  const covered = () => [first, second, other].map((each) => Revocations.open(join(stateDir, "east")).covers(each));
  expect(await revoke(...at, "--serial", first.serial)).toContain("revoked at east: certificate");
  expect(covered()).toEqual([true, false, false]);
  expect(await revoke(...at, "--user", "ada")).toContain("all certificates of ada");
  expect(covered()).toEqual([true, true, false]);
  expect(Revocations.open(join(stateDir, "east")).covers(await certificateOf("ada"))).toBe(false);
});

test.each([
  [["east"], "by --user"],
  [["east", "--user", "a", "--serial", "ab"], "by --user"],
  [["east", "--serial", "xyz"], "no serial number"],
  [["nowhere", "--user", "a"], "check --state-dir"],
])("weft revoke %j says what is wrong", async (flags, says) => {
  await certificateOf("ada");
  await expect(revoke(...flags, "--state-dir", stateDir)).rejects.toThrow(says);
});
