import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type CallOptions, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Clock } from "#base/clock.ts";
import { type ErrorCode, WeftError } from "#base/errors.ts";
import { makeSigningRequest } from "#identity/signing-request.ts";
import { type Identity, spiffeId } from "#identity/spiffe.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#proto/gen/istio/v1/auth/ca_pb.js";
import { type ControlPlane, type ControlPlaneConnection, withoutTimes } from "../control-plane.ts";
import { checkIssued, type WorkloadCertificate } from "./issued.ts";

/** Where certificates come from. */
export interface AuthorityOptions {
  /** The control plane whose authority signs. */
  readonly plane: ControlPlane;
  /** The cluster that the node is of: by it the authority knows whose tokens to expect. */
  readonly cluster: string;
  /** How long certificates are to be good, as Istio's `SECRET_TTL`; the authority may give less. */
  readonly ttlMs: number;
  /** Whether certificates are for the agent's own identity, and not for those that it speaks for. */
  readonly own?: boolean;
  readonly clock: Clock;
}

/** Milliseconds that the authority gets to answer. */
const answerMs = 10_000;

const path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const same = (bytes: Buffer): Buffer => bytes;
const newKeyPair = promisify(generateKeyPair);

/** What gRPC's statuses are in our words; others say that the authority cannot be asked now. */
const codes: Readonly<Partial<Record<number, ErrorCode>>> = {
  [status.UNAUTHENTICATED]: "Unauthenticated",
  [status.PERMISSION_DENIED]: "PermissionDenied",
  [status.INVALID_ARGUMENT]: "InvalidArgument",
};

function refusal(error: ServiceError): WeftError {
  const code = codes[error.code] ?? "Unavailable";
  return new WeftError(code, `no certificate was issued: ${status[error.code]}: ${withoutTimes(error.details)}`);
}

/**
 * Asks the mesh's authority for certificates by Istio's `IstioCertificateService`, as the node's agent that speaks for the Pods of
 * its node. Keys are made here, and only the request for one is sent.
 */
export class Authority implements Disposable {
  readonly #options: AuthorityOptions;
  readonly #connection: ControlPlaneConnection;

  constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#connection = options.plane.connect();
  }

  /**
   * A certificate of a new key.
   * @throws WeftError for an authority that is away or refuses, and for an answer that is not what was asked for.
   */
  async issue(identity: Identity): Promise<WorkloadCertificate> {
    const { ttlMs, own = false, clock, plane } = this.#options;
    const id = spiffeId(identity);
    const keys = await newKeyPair("ec", { namedCurve: "prime256v1" });
    const request = create(IstioCertificateRequestSchema, {
      csr: makeSigningRequest(keys),
      validityDuration: BigInt(Math.round(ttlMs / 1000)),
      ...(!own && { metadata: { ImpersonatedIdentity: id } }),
    });
    try {
      const answer = await this.#call(Buffer.from(toBinary(IstioCertificateRequestSchema, request)));
      const { certChain } = fromBinary(IstioCertificateResponseSchema, answer);
      const issued = checkIssued(certChain, { identity: id, key: keys.privateKey, now: clock.now() });
      plane.answered();
      return issued;
    } catch (error) {
      plane.failed(error);
      throw error;
    }
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  #call(request: Buffer): Promise<Buffer> {
    const { cluster, clock, plane } = this.#options;
    const metadata: Metadata = plane.metadata();
    metadata.set("clusterid", cluster);
    const options: CallOptions = { deadline: new Date(clock.now() + answerMs) };
    return new Promise((resolve, reject) => {
      this.#connection.client.makeUnaryRequest(path, same, same, request, metadata, options, (error, value) => {
        if (error) reject(refusal(error));
        else if (value) resolve(value);
        else reject(new WeftError("Unavailable", "no certificate was issued: the answer is empty"));
      });
    });
  }
}
