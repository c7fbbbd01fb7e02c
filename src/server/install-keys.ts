import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Authority, isDue } from "#apiserver/pki/authority.ts";
import type { Clock } from "#base/clock.ts";
import { type InstallAuthority, type InstallKeys, installPorts, meshApiHost } from "#controllers/install/options.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { credentialContext } from "./credential.ts";

/** The authorities that an installation has already. */
export type KnownKeys = Partial<InstallKeys>;

/** Days that the control plane's own certificate is good; an installation after two thirds of them makes another. */
const clientDays = 3650;

/** Whether a kubeconfig's certificate still has a third of its life. */
function lasts(kubeconfig: string, clock: Clock): boolean {
  const [, certificate = ""] = /client-certificate-data: (\S+)/.exec(kubeconfig) ?? [];
  return certificate !== "" && !isDue(Buffer.from(certificate, "base64").toString("utf8"), clock.now());
}

function put(folder: string, { certificate, key }: InstallAuthority): void {
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, "ca.crt"), certificate, { mode: 0o600 });
  writeFileSync(join(folder, "ca.key"), key, { mode: 0o600 });
}

function take(folder: string): InstallAuthority {
  return {
    certificate: readFileSync(join(folder, "ca.crt"), "utf8"),
    key: readFileSync(join(folder, "ca.key"), "utf8"),
  };
}

/** A kubeconfig for an administrator of the mesh, and the keys that the control plane's parts know each other by. */
export interface MadeKeys {
  readonly keys: InstallKeys;
  /** Reaches the API by a port that is forwarded to this machine. */
  readonly administrator: string;
}

/**
 * Makes the keys of an installation; authorities that there are already stay.
 * @throws WeftError `FailedPrecondition` where these are broken.
 */
export async function installKeys(known: KnownKeys, clock: Clock): Promise<MadeKeys> {
  // Authorities live in folders, which this one is gone with.
  const folder = mkdtempSync(join(tmpdir(), "weft-install-"));
  try {
    for (const name of ["mesh", "members"] as const) {
      const authority = known[name];
      if (authority) put(join(folder, name), authority);
      Authority.open(join(folder, name), name, clock);
    }
    const credential = { stateDir: folder, days: clientDays, namespace: "default", group: ["system:masters"] };
    const port = installPorts.api;
    const [discovery, administrator] = await Promise.all([
      credentialContext("mesh", { ...credential, user: "istiod", server: `https://${meshApiHost}:${port}` }, clock),
      credentialContext("mesh", { ...credential, user: "admin", server: `https://127.0.0.1:${port}` }, clock),
    ]);
    const keys = {
      mesh: take(join(folder, "mesh")),
      members: take(join(folder, "members")),
      discovery:
        known.discovery !== undefined && lasts(known.discovery, clock)
          ? known.discovery
          : formatKubeconfig([discovery]),
    };
    return { keys, administrator: formatKubeconfig([administrator]) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
