import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Allowance } from "#base/allowance.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { SparingLog } from "#base/sparing-log.ts";
import type { Call, Methods } from "#grpc/server.ts";
import { unary } from "#grpc/unary.ts";
import {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from "#proto/gen/istio/v1/auth/ca_pb.js";
import type { Caller } from "./caller.ts";
import type { Callers } from "./callers.ts";
import { checkBound, impersonated, type ImpersonationRules } from "./impersonation.ts";
import type { Lifetimes } from "./settings.ts";
import type { Signer } from "./signer.ts";
import { type Identity, spiffeId } from "./spiffe.ts";

/** What the service needs. */
export interface CertificateServiceOptions {
  readonly callers: Callers;
  readonly signer: Signer;
  /** The trusted roots as PEM, all in one text. */
  readonly roots: () => string;
  readonly rules: () => ImpersonationRules;
  readonly lifetimes: Lifetimes;
  /** 20 a second and 500 at once unless told. */
  readonly rate?: RequestRate;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Bytes of a request: a signing request of 16 KiB and what stands beside it. */
const mostBytes = 32_768;
/** Requests that an identity may make a second, and at once. */
interface RequestRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** An agent asks for all Pods of its node when it starts. */
const defaultRate: RequestRate = { perSecond: 20, burst: 500 };

/** Identities that are remembered; the one that asked longest ago goes first. */
const mostRemembered = 10_000;

/** What callers have left of the requests that they may make. */
class Allowances {
  readonly #make: () => Allowance;
  readonly #byCaller = new Map<string, Allowance>();

  constructor({ perSecond, burst }: RequestRate, clock: Clock) {
    this.#make = () => new Allowance(perSecond, burst, 1000, () => clock.monotonic());
  }

  /** @throws WeftError `ResourceExhausted` when a caller has asked too often. */
  spend({ cluster = "", node = "", ...identity }: Caller): void {
    const key = `${cluster}/${node}/${spiffeId(identity)}`;
    const known = this.#byCaller.get(key) ?? this.#make();
    this.#byCaller.delete(key);
    this.#byCaller.set(key, known);
    const [oldest] = this.#byCaller.keys();
    if (this.#byCaller.size > mostRemembered && oldest !== undefined) this.#byCaller.delete(oldest);
    if (!known.spend(1)) {
      throw new WeftError("ResourceExhausted", "the caller asks for too many certificates; try again later");
    }
  }
}

/** Milliseconds that a certificate is asked for. */
function lifetimeOf({ validityDuration }: IstioCertificateRequest, { defaultMs, mostMs }: Lifetimes): number {
  if (validityDuration <= 0n) return defaultMs;
  const mostSeconds = BigInt(Math.floor(mostMs / 1000));
  if (validityDuration <= mostSeconds) return Number(validityDuration) * 1000;
  throw new WeftError("InvalidArgument", `certificates are valid for ${mostSeconds} seconds at most`);
}

/** The text that the request's metadata has under a name; undefined for none. */
function textAt({ metadata }: IstioCertificateRequest, name: string): string | undefined {
  const value = metadata && Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Answers `istio.v1.auth.IstioCertificateService/CreateCertificate`. */
class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #allowances: Allowances;
  readonly #refusals: SparingLog;

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    this.#refusals = new SparingLog(options.logger, options.clock);
    this.#allowances = new Allowances(options.rate ?? defaultRate, options.clock);
  }

  async answer(request: IstioCertificateRequest, call: Call): Promise<Uint8Array> {
    const told: { caller?: string; identity?: string } = {};
    try {
      return await this.#issue(request, call, told);
    } catch (fault) {
      const reason = { from: call.from, ...told, code: codeOf(fault), reason: messageOf(fault) };
      this.#refusals.say("warn", "no certificate was issued", reason);
      throw fault;
    }
  }

  async #issue(
    request: IstioCertificateRequest,
    call: Call,
    told: { caller?: string; identity?: string },
  ): Promise<Uint8Array> {
    const { callers, signer, roots, rules, lifetimes, logger } = this.#options;
    const caller = await callers.of(call);
    told.caller = spiffeId(caller);
    checkBound(caller, rules().pods);
    this.#allowances.spend(caller);
    const name = spiffeId(this.#identityFor(caller, request));
    told.identity = name;
    const ttlMs = lifetimeOf(request, lifetimes);
    const { chain, expires } = await signer.issue({ csr: request.csr, names: [name], ttlMs });
    logger.debug("a certificate was issued", { ...told, until: new Date(expires).toISOString() });
    const certChain = [...chain, roots()];
    return toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain }));
  }

  #identityFor(caller: Caller, request: IstioCertificateRequest): Identity {
    const wanted = textAt(request, "ImpersonatedIdentity");
    return wanted === undefined ? caller : impersonated(caller, wanted, this.#options.rules());
  }
}

/** The methods of Istio's certificate service. */
export function certificateMethods(options: CertificateServiceOptions): Methods {
  const service = new CertificateService(options);
  const method = unary({
    clock: options.clock,
    mostBytes,
    read: (bytes) => fromBinary(IstioCertificateRequestSchema, bytes),
    answer: (request, call) => service.answer(request, call),
  });
  return { "/istio.v1.auth.IstioCertificateService/CreateCertificate": method };
}
