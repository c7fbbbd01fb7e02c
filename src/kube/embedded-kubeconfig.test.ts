import fc from "fast-check";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { WeftError } from "#base/errors.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { runs } from "#base/testing/runs.ts";
import { credentialsEnd, readEmbeddedKubeconfig } from "./embedded-kubeconfig.ts";

const authority = createAuthority("CN=test");
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const [ca, key] = [base64(authority.certificate), base64(authority.key)];

const good = { server: "https://10.0.0.1:6443", "certificate-authority-data": ca };

function kubeconfig(cluster: object, user: object, more: object = {}): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
    ...more,
  });
}

test("a token, or a client certificate, and the authority in place", () => {
  expect(readEmbeddedKubeconfig(kubeconfig({ ...good, "tls-server-name": "api" }, { token: "t" }), "s")).toEqual({
    url: good.server,
    ca: authority.certificate,
    serverName: "api",
    token: "t",
  });
  const user = { "client-certificate-data": ca, "client-key-data": key };
  expect(readEmbeddedKubeconfig(kubeconfig({ server: "https://h/path" }, user), "s")).toEqual({
    url: "https://h/path",
    certificate: authority.certificate,
    key: authority.key,
  });
});

const user = { token: "t" };
test.each<[what: string, cluster: object, user: object, message: RegExp]>([
  ["a file", { ...good, "certificate-authority": "/ca" }, user, /certificate-authority names a file .*-data/],
  [
    "no check",
    { ...good, "insecure-skip-tls-verify": true },
    user,
    /insecure-skip-tls-verify .*certificate-authority-data/,
  ],
  ["a proxy", { ...good, "proxy-url": "http://p" }, user, /proxy-url is not followed/],
  ["a program", good, { exec: { command: "x" } }, /user "u".exec would run a program/],
  ["a plugin", good, { "auth-provider": { name: "gcp" } }, /auth-provider would run a plugin/],
  ["a token's file", good, { tokenFile: "/t" }, /tokenFile names a file/],
  ["a certificate's file", good, { "client-certificate": "/c", "client-key": "/k" }, /client-certificate names a file/],
  ["a password", good, { username: "u", password: "p" }, /username is a way in/],
  ["impersonation", good, { ...user, as: "root" }, /as is not followed/],
  ["nobody", good, {}, /neither token nor client-certificate-data/],
  ["half a certificate", good, { "client-key-data": key }, /without the other/],
  [
    "no PEM",
    { ...good, "certificate-authority-data": base64("x") },
    user,
    /certificate-authority-data is not base64 of PEM/,
  ],
  [
    "no key",
    good,
    { "client-certificate-data": ca, "client-key-data": base64("secret") },
    /client-key-data is not base64 of PEM/,
  ],
  ["plain text", { server: "http://h" }, user, /server "http:\/\/h" must be https/],
  ["a socket", { server: "unix:///run/a.sock" }, user, /must be https/],
  ["a password in the URL", { server: "https://me:pw@h" }, user, /must be https:\/\/, a host, and perhaps/],
  ["no server", {}, user, /has no server/],
])("refused: %s", (_what, cluster, user, message) => {
  expect(() => readEmbeddedKubeconfig(kubeconfig(cluster, user), "the Secret istio-system/east")).toThrow(message);
  expect(() => readEmbeddedKubeconfig(kubeconfig(cluster, user), "the Secret istio-system/east")).toThrow(
    /^the Secret istio-system\/east: /,
  );
});

test("messages about broken text hold nothing of it", () => {
  const broken = `users: [{name: u, user: {token: s3cret`;
  const fault = (() => {
    try {
      return readEmbeddedKubeconfig(broken, "it");
    } catch (error) {
      return error;
    }
  })();
  expect(fault).toBeInstanceOf(WeftError);
  expect((fault as WeftError).message).toBe("it is not YAML");
  expect((fault as WeftError).cause).toBeUndefined();
});

test("any text is read or refused with a code, and files are never opened", () => {
  const scalar = fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.integer());
  const body = (members: readonly string[]): fc.Arbitrary<object> =>
    fc.dictionary(fc.constantFrom(...members), scalar, { maxKeys: 4 });
  const clusters = body([
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "proxy-url",
  ]);
  const users = body([
    "token",
    "tokenFile",
    "exec",
    "auth-provider",
    "client-certificate",
    "client-key",
    "client-certificate-data",
    "client-key-data",
  ]);
  const text = fc.oneof(
    fc.string(),
    fc.tuple(clusters, users).map(([cluster, who]) => kubeconfig({ ...good, ...cluster }, { ...user, ...who })),
  );
  fc.assert(
    fc.property(text, (given) => {
      try {
        const address = readEmbeddedKubeconfig(given, "it");
        expect(address.url).toMatch(/^https:/);
        expect(address).not.toHaveProperty("tokenFile");
        expect(address).not.toHaveProperty("insecure");
      } catch (error) {
        expect(["InvalidArgument", "Unsupported"]).toContain((error as WeftError).code);
      }
    }),
    { numRuns: runs(300) },
  );
});

test("when credentials end", () => {
  const token = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  const url = "https://h";
  expect(credentialsEnd({ url, token: token({ exp: 7 }) })).toBe(7000);
  for (const opaque of ["t", "a.b.c", token({})]) expect(credentialsEnd({ url, token: opaque })).toBeUndefined();
  const { certificate } = authority;
  const end = credentialsEnd({ url, certificate, key: authority.key });
  expect(end).toBeGreaterThan(0);
  expect(credentialsEnd({ url, certificate, key: authority.key, token: token({ exp: 7 }) })).toBe(7000);
});
