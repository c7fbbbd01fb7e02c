import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Certificate } from "#base/testing/certificate.ts";
import { adsService } from "#proto/ads.ts";

/** A stream of ADS as its server has it, over raw bytes. */
export type AdsCall = ServerDuplexStream<Buffer, Buffer>;

/** A control plane over TLS that a test plays: it keeps the streams that are opened, and says nothing by itself. */
export class ControlPlaneServer {
  readonly address: string;
  readonly calls: AdsCall[] = [];
  #server: Server | undefined;

  /** @param socket path of a Unix socket. */
  constructor(socket: string) {
    this.address = `unix:${socket}`;
  }

  /** Serves with a certificate. */
  async start({ certificate, key }: Certificate): Promise<void> {
    const server = new Server();
    const take = (call: AdsCall): void => {
      call.on("error", () => undefined);
      this.calls.push(call);
    };
    server.addService(adsService, { deltaAggregatedResources: take, streamAggregatedResources: take });
    const pair = { cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) };
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createSsl(null, [pair]), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    this.#server = server;
  }

  /** Ends all streams and closes the socket. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }
}
