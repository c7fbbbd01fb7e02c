import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";

const own = await generateKeyPair("RS256", { extractable: true });
const others = await generateKeyPair("ES256", { extractable: true });
/** Keys of an issuer whose keys are fetched. */
export const fetched = await generateKeyPair("EdDSA", { extractable: true });
const strange = await generateKeyPair("ES256");
type Keys = typeof own;

const hour = 3600;
const now = Math.floor(Date.now() / 1000);

interface Claims {
  readonly [claim: string]: unknown;
}

const alice: Claims = { iss: "issuer.example", sub: "alice", aud: "shop", exp: now + hour };
/** The claims of the token `admin`. */
export const root: Claims = {
  ...alice,
  sub: "root",
  aud: ["shop", "bank"],
  azp: "console",
  groups: ["staff", "admins"],
  team: { name: "tillers" },
  scope: "read write",
  roles: "cook baker",
};

function sign(claims: Claims, keys: Keys = own, alg = "RS256"): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg, kid: alg }).sign(keys.privateKey);
}

async function tampered(): Promise<string> {
  const [header, , signature] = (await sign(alice)).split(".");
  const payload = Buffer.from(JSON.stringify({ ...alice, sub: "root" })).toString("base64url");
  return [header, payload, signature].join(".");
}

/** Tokens by what they are. */
export const tokens: Readonly<Record<string, string>> = {
  good: await sign(alice),
  admin: await sign(root),
  expired: await sign({ ...alice, exp: now - hour }),
  early: await sign({ ...alice, nbf: now + hour }),
  audience: await sign({ ...alice, aud: "bank" }),
  issuer: await sign({ ...alice, iss: "foreign.example" }),
  unsigned: (await sign(alice)).split(".").slice(0, 2).join("."),
  none: new UnsecuredJWT({ ...alice }).encode(),
  nosig: [Buffer.from('{"alg":"none"}').toString("base64url"), ...(await sign(alice)).split(".").slice(1)].join("."),
  tampered: await tampered(),
  stranger: await sign(alice, strange, "ES256"),
  garbage: "garbage",
  other: await sign({ ...alice, iss: "other.example", sub: "bob" }, others, "ES256"),
  fetched: await sign({ ...alice, iss: "fetched.example" }, fetched, "EdDSA"),
  closed: await sign({ ...alice, iss: "closed.example" }),
};

/** A key as a set of keys. */
export async function keySet({ publicKey }: Keys, kid: string): Promise<string> {
  return JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid }] });
}

/** A RequestAuthentication of the issuers of these tokens, for the workload `server`. */
export async function authentication(): Promise<string> {
  return `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users }
spec:
  selector: { matchLabels: { app: server } }
  jwtRules:
    - issuer: issuer.example
      audiences: [shop]
      jwks: '${await keySet(own, "RS256")}'
      forwardOriginalToken: true
      outputPayloadToHeader: x-payload
      outputClaimToHeaders: [{ header: x-subject, claim: sub }, { header: x-team, claim: team.name }]
      spaceDelimitedClaims: [roles]
    - issuer: other.example
      jwks: '${await keySet(others, "ES256")}'
      fromHeaders: [{ name: x-other }, { name: x-prefixed, prefix: Pass- }]
      fromParams: [access]
      fromCookies: [session]
    - { issuer: fetched.example, jwksUri: "https://fetched.example/keys", fromHeaders: [{ name: x-fetched }] }
    - { issuer: closed.example, jwksUri: "https://closed.example/keys" }
`;
}

/** A text of the tables with its tokens in it: `bearer:KIND` and `token:KIND`. */
export function withTokens(text: string): string {
  return text
    .replaceAll(/token:(\w+)/g, (_whole, kind: string) => tokens[kind] ?? "")
    .replaceAll(/bearer:(\w+)/g, (_whole, kind: string) => `Bearer ${tokens[kind] ?? ""}`);
}
