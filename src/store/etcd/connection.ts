import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ChannelOptions, Client, Metadata } from "@grpc/grpc-js";
import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { Auth, Watch, type WatchCreateRequestSchema, type WatchResponse } from "#proto/gen/etcdserverpb/rpc_pb.js";
import type { EtcdAddress } from "./address.ts";
import { type EtcdFiles, readUser, securityOf } from "./credentials.ts";
import { failureOf, isPassing, isStaleLogin } from "./failure.ts";

/** What a connection is told. */
export interface ConnectionOptions {
  readonly address: EtcdAddress;
  readonly files: EtcdFiles;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long a request may take. */
export interface CallOptions {
  /** Milliseconds for one member's answer, after which another is asked; 2 s unless told. */
  readonly attemptMs?: number;
  /** Milliseconds for all of it; 10 s unless told. */
  readonly limitMs?: number;
  /** Called before a request is sent again, which may then be carried out twice. */
  readonly again?: () => void;
  readonly signal?: AbortSignal;
}

const channel: ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_http_proxy": 0,
  "grpc.enable_retries": 0,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  // etcd refuses who asks more often than every five seconds.
  "grpc.keepalive_time_ms": 6000,
  "grpc.keepalive_timeout_ms": 2000,
};

/** Requests under way at once. Others wait here, where no time runs out for them: all at once, each would take longer than it may. */
const mostUnderWay = 64;

function pathOf({ parent, name }: DescMethodUnary | DescMethodStreaming): string {
  return `/${parent.typeName}/${name}`;
}

function encode<Desc extends DescMessage>(desc: Desc, message: MessageInitShape<Desc>): Buffer {
  return Buffer.from(toBinary(desc, create(desc, message)));
}

/**
 * A connection to the members of an etcd: all requests and watches go to one of them, until it fails; then to the next. What fails
 * in a way that may pass is asked again until its time is over.
 */
export class EtcdConnection implements Disposable {
  readonly #options: ConnectionOptions;
  #at = 0;
  #client: Client | undefined;
  /** Proves the user, where there is one. */
  #token: Promise<string> | undefined;
  /** Whether the last request failed, for telling the log once. */
  #troubled = false;
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The member that is asked now. */
  get endpoint(): string {
    const { endpoints } = this.#options.address;
    return endpoints[this.#at % endpoints.length] ?? endpoints[0];
  }

  /** Goes on with the next member, unless that was done since `client` was given out. */
  #leave(client: Client): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#at += 1;
    client.close();
  }

  /** Goes on with another member; streams of this one end by themselves. */
  leave(): void {
    if (this.#client !== undefined) this.#leave(this.#client);
  }

  /**
   * Sends a request.
   * @throws WeftError `Unavailable` when nobody answered in time; a failure that does not pass as gRPC gives it, for `failure.ts`.
   */
  async call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    message: MessageInitShape<Input>,
    options: CallOptions = {},
  ): Promise<MessageShape<Output>> {
    if (this.#underWay < mostUnderWay) this.#underWay += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await this.#call(method, message, options);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  }

  async #call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    message: MessageInitShape<Input>,
    { attemptMs = 2000, limitMs = 10_000, again, signal }: CallOptions,
  ): Promise<MessageShape<Output>> {
    const { clock } = this.#options;
    const bytes = encode(method.input, message);
    const until = clock.monotonic() + limitMs;
    const backoff = new Backoff({ initialMs: 30, maxMs: 500 });
    for (;;) {
      signal?.throwIfAborted();
      const client = this.#open();
      try {
        const ms = Math.max(1, Math.min(attemptMs, until - clock.monotonic()));
        const answer = await this.#attempt(client, method, bytes, ms);
        this.#answered();
        return answer;
      } catch (error) {
        if (!isPassing(error)) throw error;
        this.#failed(error);
        if (isStaleLogin(error)) this.#token = undefined;
        else this.#leave(client);
        const wait = backoff.next();
        if (clock.monotonic() + wait >= until) throw failureOf(error, this.endpoint);
        again?.();
        await clock.sleep(wait, signal);
      }
    }
  }

  /** What happens to keys, from one member, until it fails or the signal aborts. @throws what gRPC gives. */
  async *watch(
    request: MessageInitShape<typeof WatchCreateRequestSchema>,
    signal: AbortSignal,
  ): AsyncGenerator<WatchResponse, void, void> {
    const client = this.#open();
    const metadata = await this.#metadata(client);
    // A member that is cut off from the others says so, instead of saying nothing.
    metadata.set("hasleader", "true");
    const { watch } = Watch.method;
    const stream = client.makeBidiStreamRequest(
      pathOf(watch),
      (bytes: Buffer) => bytes,
      (bytes) => fromBinary(watch.output, bytes),
      metadata,
    );
    const stop = (): void => stream.cancel();
    signal.addEventListener("abort", stop);
    try {
      signal.throwIfAborted();
      stream.write(encode(watch.input, { requestUnion: { case: "createRequest", value: request } }));
      for await (const response of stream) yield response as WatchResponse;
    } catch (error) {
      if (isStaleLogin(error)) this.#token = undefined;
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      stream.on("error", () => undefined);
      stream.cancel();
    }
  }

  [Symbol.dispose](): void {
    this.#client?.close();
  }

  #open(): Client {
    const { address, files } = this.#options;
    if (this.#client === undefined) {
      const { credentials, options } = securityOf(this.endpoint, address.secure, files);
      this.#client = new Client(this.endpoint, credentials, { ...channel, ...options });
    }
    return this.#client;
  }

  async #attempt<Input extends DescMessage, Output extends DescMessage>(
    client: Client,
    method: DescMethodUnary<Input, Output>,
    bytes: Buffer,
    ms: number,
  ): Promise<MessageShape<Output>> {
    return this.#send(client, method, bytes, ms, await this.#metadata(client));
  }

  #send<Input extends DescMessage, Output extends DescMessage>(
    client: Client,
    method: DescMethodUnary<Input, Output>,
    bytes: Buffer,
    ms: number,
    metadata: Metadata,
  ): Promise<MessageShape<Output>> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        pathOf(method),
        (message: Buffer) => message,
        (answer) => fromBinary(method.output, answer),
        bytes,
        metadata,
        { deadline: this.#options.clock.now() + ms },
        (error, answer) => (answer === undefined ? reject(error ?? new Error("no answer")) : resolve(answer)),
      );
    });
  }

  async #metadata(client: Client): Promise<Metadata> {
    const metadata = new Metadata();
    const { user } = this.#options.files;
    if (user === undefined) return metadata;
    this.#token ??= this.#login(client, user);
    try {
      metadata.set("token", await this.#token);
    } catch (error) {
      this.#token = undefined;
      throw error;
    }
    return metadata;
  }

  async #login(client: Client, file: string): Promise<string> {
    const bytes = encode(Auth.method.authenticate.input, readUser(file));
    return (await this.#send(client, Auth.method.authenticate, bytes, 2000, new Metadata())).token;
  }

  #failed(error: unknown): void {
    if (this.#troubled) return;
    this.#troubled = true;
    this.#options.logger.warn("etcd does not answer; others are asked", {
      endpoint: this.endpoint,
      error: messageOf(error),
    });
  }

  #answered(): void {
    if (!this.#troubled) return;
    this.#troubled = false;
    this.#options.logger.info("etcd answers", { endpoint: this.endpoint });
  }
}
