import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type StatusObject,
} from "@grpc/grpc-js";
import type { Certificate } from "#base/testing/certificate.ts";
import { adsService } from "#proto/ads.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#proto/gen/istio/v1/auth/ca_pb.js";

/** A stream of ADS as its server has it, over raw bytes. */
export type AdsCall = ServerDuplexStream<Buffer, Buffer>;

/** What a request for a certificate says. */
export interface Asked {
  readonly csr: string;
  readonly validitySeconds: number;
  readonly identity: unknown;
  readonly authorization: unknown;
  readonly cluster: unknown;
}

const same = (bytes: Buffer): Buffer => bytes;

const certificateService = {
  createCertificate: {
    path: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const satisfies ServiceDefinition;

/** A control plane over TLS that a test plays: it keeps the streams that are opened, and answers requests as it is told. */
export class ControlPlaneServer {
  /** Where it serves; a port of 0 becomes the one that was taken. */
  address: string;
  readonly calls: AdsCall[] = [];
  /** The chain that a request gets, or the status that refuses it. */
  issue: (asked: Asked) => readonly string[] | Partial<StatusObject> = () => [];
  #server: Server | undefined;

  /** @param place path of a Unix socket, or an address and a port. */
  constructor(place: string) {
    this.address = place.startsWith("/") ? `unix:${place}` : place;
  }

  /** Serves with a certificate. */
  async start({ certificate, key }: Certificate): Promise<void> {
    const server = new Server();
    const take = (call: AdsCall): void => {
      call.on("error", () => undefined);
      this.calls.push(call);
    };
    server.addService(adsService, { deltaAggregatedResources: take, streamAggregatedResources: take });
    server.addService(certificateService, { createCertificate: this.#create });
    const pair = { cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) };
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createSsl(null, [pair]), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    this.address = this.address.replace(/:0$/, `:${port}`);
    this.#server = server;
  }

  /** Ends all streams and closes the socket. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  readonly #create: handleUnaryCall<Buffer, Buffer> = ({ request, metadata }, answer) => {
    const { csr, validityDuration, metadata: options = {} } = fromBinary(IstioCertificateRequestSchema, request);
    const chain = this.issue({
      csr,
      validitySeconds: Number(validityDuration),
      identity: options["ImpersonatedIdentity"],
      authorization: metadata.get("authorization")[0],
      cluster: metadata.get("clusterid")[0],
    });
    if (!Array.isArray(chain)) return answer(chain as Partial<StatusObject>);
    const response = create(IstioCertificateResponseSchema, { certChain: chain as string[] });
    answer(null, Buffer.from(toBinary(IstioCertificateResponseSchema, response)));
  };
}
