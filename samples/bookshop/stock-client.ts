import { Client, Metadata, credentials } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { callTimeoutMs } from "./call.ts";
import type { Part } from "./call.ts";
import type { Instance } from "./instance.ts";
import { countMethod } from "./stock-api.ts";
import type { CountReply } from "./stock-api.ts";

/** HTTP statuses that stand for gRPC's codes, as gRPC's gateways map them; others are 500. */
const httpStatuses: Readonly<Record<number, number>> = {
  1: 499,
  3: 400,
  4: 504,
  5: 404,
  7: 403,
  8: 429,
  12: 501,
  14: 503,
  16: 401,
};

/** Calls the stock service over one HTTP/2 connection, which is made again whenever it is lost. */
export class StockClient {
  readonly #client: Client;

  /** @param address `host:port`. */
  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.min_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2000,
    });
  }

  /** How many copies there are of a book. Never throws, never tries again. */
  async count(
    book: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<Part<CountReply & Pick<Instance, "service">>> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const { path, requestSerialize, responseDeserialize } = countMethod;
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, reply?: CountReply): void => {
        if (error !== null) resolve({ error: error.message, status: httpStatuses[error.code] ?? 500 });
        else if (reply === undefined) resolve({ error: "an empty answer", status: 500 });
        else resolve({ service: "stock", ...reply, status: 200 });
      };
      const options = { deadline: Date.now() + callTimeoutMs };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { book }, metadata, options, done);
    });
  }
}
