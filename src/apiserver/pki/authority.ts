import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { writePrivate } from "../private-file.ts";
import type { User } from "../user.ts";
import { orderedCertificate, type Subject, type Usage } from "./certificate.ts";

const day = 24 * 3600_000;
const authorityMs = 10 * 365 * day;
const servingMs = 30 * day;

/** Certificates begin a little in the past: clocks differ. */
export const backdateMs = 5 * 60_000;

/** A certificate with its key, in PEM. */
export interface Credential {
  readonly certificate: string;
  readonly key: string;
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" });
}

/** Whether a certificate has less than a third of its life left. */
export function isDue(certificate: string, now: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return now > to - (to - from) / 3;
}

/**
 * The certificate authority of one API endpoint: it signs the endpoint's serving certificates and its clients'
 * certificates, and is apart from the mesh's own authority. Its key is made once and kept; its certificate is renewed with
 * the same key and name, so that what trusts an older one goes on to.
 */
export class Authority {
  readonly #folder: string | undefined;
  readonly #clock: Clock;
  readonly #key: KeyObject;
  readonly #subject: Subject;
  #certificate: string;

  private constructor(folder: string | undefined, clock: Clock, endpoint: string, key: KeyObject) {
    this.#folder = folder;
    this.#clock = clock;
    this.#key = key;
    this.#subject = { commonName: `Weft API ${endpoint}` };
    this.#certificate = "";
  }

  /**
   * @param folder keeps `ca.key` and `ca.crt`, made if need be (0600 in 0700); without one the authority lives as long as the
   * process.
   * @throws WeftError `Unavailable` for a folder that cannot be used, `FailedPrecondition` for a broken key or certificate.
   */
  static open(folder: string | undefined, endpoint: string, clock: Clock): Authority {
    const keyFile = folder === undefined ? undefined : join(folder, "ca.key");
    if (keyFile === undefined || !existsSync(keyFile)) {
      const authority = new Authority(folder, clock, endpoint, newKey());
      if (keyFile !== undefined) writePrivate(keyFile, pemOf(authority.#key));
      authority.#renew();
      return authority;
    }
    return Authority.#load(join(folder ?? "", "ca"), new Authority(folder, clock, endpoint, readKey(keyFile)));
  }

  static #load(base: string, authority: Authority): Authority {
    const path = `${base}.crt`;
    if (!existsSync(path)) authority.#renew();
    else {
      authority.#certificate = readFileSync(path, "utf8");
      if (!isOf(authority.#certificate, authority.#key)) {
        const problem = `${path} is not a certificate of the key ${base}.key: restore both from one copy`;
        throw new WeftError("FailedPrecondition", problem);
      }
      authority.maintain();
    }
    return authority;
  }

  /** What clients and the server trust, in PEM. */
  get certificate(): string {
    return this.#certificate;
  }

  /** Renews the authority's certificate when it is due. */
  maintain(): void {
    if (isDue(this.#certificate, this.#clock.now())) this.#renew();
  }

  /** A certificate by which the endpoint shows who it is; its key is new and never on disk. */
  issueServing(names: readonly string[]): Credential {
    return this.#issue({ commonName: names[0] ?? "localhost" }, { kind: "server", names }, servingMs);
  }

  /** A certificate by which a client shows who it is, valid for so many milliseconds. */
  issueClient({ name, groups }: Pick<User, "name" | "groups">, ms: number): Credential {
    return this.#issue({ commonName: name, organizations: groups }, { kind: "client" }, ms);
  }

  #issue(subject: Subject, usage: Usage, ms: number): Credential {
    const key = newKey();
    const now = this.#clock.now();
    const certificate = orderedCertificate({
      subject,
      usage,
      publicKey: createPublicKey(key),
      validity: { from: now - backdateMs, until: now + ms },
      issuer: { subject: this.#subject, key: this.#key },
    });
    return { certificate, key: pemOf(key) };
  }

  #renew(): void {
    const now = this.#clock.now();
    const certificate = orderedCertificate({
      subject: this.#subject,
      usage: { kind: "authority" },
      publicKey: createPublicKey(this.#key),
      validity: { from: now - backdateMs, until: now + authorityMs },
      issuer: { subject: this.#subject, key: this.#key },
    });
    if (this.#folder !== undefined) writePrivate(join(this.#folder, "ca.crt"), certificate);
    this.#certificate = certificate;
  }
}

function readKey(path: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(path));
  } catch (error) {
    throw new WeftError("FailedPrecondition", `${path} holds no private key: restore it from a copy`, error);
  }
}

function isOf(certificate: string, key: KeyObject): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(key);
  } catch {
    return false;
  }
}
