/**
 * A grpc-js server that does nothing but send: for each type that a stream asks for first, and for each change, the
 * bytes that were recorded from the server under test. What it costs is what gRPC costs.
 */
import { readFileSync } from "node:fs";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { adsService } from "#proto/ads.ts";
import { serveMeasurements, type ServerAnswer } from "./measured.ts";
import { changeKinds } from "./meshes.ts";

/** What was recorded: responses by type, and by change; base64. */
export interface Recording {
  readonly types: Readonly<Record<string, readonly string[]>>;
  readonly changes: Readonly<Record<string, readonly string[]>>;
}

type Call = ServerDuplexStream<Buffer, Buffer>;

const [, , file = ""] = process.argv;
const recording = JSON.parse(readFileSync(file, "utf8")) as Recording;
const decode = (texts: readonly string[] = []): Buffer[] => texts.map((text) => Buffer.from(text, "base64"));
const types = Object.entries(recording.types).map(([type, texts]) => ({ type, messages: decode(texts) }));
const changes = new Map(changeKinds.map((kind) => [kind, decode(recording.changes[kind])]));
const calls = new Set<Call>();
let messagesSent = 0;
let bytesSent = 0;

function send(call: Call, messages: readonly Buffer[]): void {
  for (const bytes of messages) {
    messagesSent += 1;
    bytesSent += bytes.length;
    call.write(bytes);
  }
}

function accept(call: Call): void {
  const answered = new Set<string>();
  calls.add(call);
  call.on("data", (request: Buffer) => {
    for (const { type, messages } of types) {
      if (answered.has(type) || !request.includes(type)) continue;
      answered.add(type);
      send(call, messages);
    }
  });
  call.on("end", () => call.end());
  call.on("cancelled", () => calls.delete(call));
}

const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
server.addService(adsService, { deltaAggregatedResources: accept, streamAggregatedResources: accept });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  const ready: ServerAnswer = { kind: "ready", port, startMs: 0 };
  process.send?.(ready);
});
serveMeasurements(
  () => ({ streams: calls.size, messagesSent, bytesSent }),
  (kind) => {
    for (const call of calls) send(call, changes.get(kind) ?? []);
  },
  () => {
    server.forceShutdown();
    return Promise.resolve();
  },
);
