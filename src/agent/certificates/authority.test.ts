import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock as clock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { readSigningRequest } from "#identity/signing-request.ts";
import { spiffeId } from "#identity/spiffe.ts";
import { ControlPlane } from "../control-plane.ts";
import { type Asked, ControlPlaneServer } from "../testing/control-plane-server.ts";
import { Authority } from "./authority.ts";

const root = mkdtempSync(join(tmpdir(), "weft-authority-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const serverName = "istiod.istio-system.svc";
const [rootsFile, tokenFile] = [join(root, "roots.pem"), join(root, "token")];
const mesh = createAuthority("mesh");
writeFileSync(rootsFile, mesh.certificate);
writeFileSync(tokenFile, "the-token");
const reviews = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "reviews" };

describe("a node's way to the mesh's authority", () => {
  const server = new ControlPlaneServer(join(root, "ca.sock"));
  let asked: Asked[];
  let authority: Authority;

  beforeEach(async () => {
    asked = [];
    server.issue = (request) => {
      asked.push(request);
      const names = [spiffeId(reviews)];
      return [mesh.certify(readSigningRequest(request.csr), { names }), mesh.certificate];
    };
    await server.start(mesh.issue(serverName));
    const plane = new ControlPlane({ address: server.address, trust: { rootsFile, tokenFile, serverName }, logger });
    authority = new Authority({ plane, cluster: "east", ttlMs: 3_600_000, clock });
  });

  afterEach(() => {
    authority[Symbol.dispose]();
    server.stop();
  });

  const refusal = async (): Promise<unknown> => authority.issue(reviews).catch((error: unknown) => error);

  it("asks in the name of a Pod's identity, with the node's token, and gets a certificate of a key made here", async () => {
    const issued = await authority.issue(reviews);
    expect(asked).toMatchObject([
      { identity: spiffeId(reviews), validitySeconds: 3600, authorization: "Bearer the-token", cluster: "east" },
    ]);
    const leaf = new X509Certificate(issued.chain);
    expect(leaf.checkPrivateKey(createPrivateKey(issued.key))).toBe(true);
    expect(createPrivateKey(issued.key).asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(asked[0]!.csr).not.toContain("PRIVATE");
    const again = await authority.issue(reviews);
    expect(again.key).not.toBe(issued.key);
  });

  it("tells why it is refused", async () => {
    server.issue = () => ({ code: status.UNAUTHENTICATED, details: "the token has expired" });
    expect(await refusal()).toMatchObject({
      code: "Unauthenticated",
      message: "no certificate was issued: UNAUTHENTICATED: the token has expired",
    });
    server.issue = () => ({ code: status.PERMISSION_DENIED, details: "no such Pod on the node" });
    expect(codeOf(await refusal())).toBe("PermissionDenied");
  });

  it("takes no certificate for another's key, nor an answer without one", async () => {
    server.issue = () => [mesh.issue(spiffeId(reviews)).certificate, mesh.certificate];
    expect(await refusal()).toMatchObject({
      code: "FailedPrecondition",
      message: expect.stringContaining("another key") as string,
    });
    server.issue = () => [];
    expect(codeOf(await refusal())).toBe("FailedPrecondition");
  });

  it("fails while the authority is away, and goes on when it is back", async () => {
    server.stop();
    expect(codeOf(await refusal())).toBe("Unavailable");
    await server.start(mesh.issue(serverName));
    await expect.poll(async () => authority.issue(reviews).catch(() => undefined), { timeout: 60_000 }).toBeDefined();
  });
});
