/**
 * A grpc-js server that does nothing but send: for each type that a stream asks for first, and for each change, the
 * bytes that were recorded from the server under test. What it costs is what gRPC costs.
 */
import { readFileSync } from "node:fs";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { adsService } from "#proto/ads.ts";
import type { ChangeKind } from "./served.ts";
import type { RecordedResponse } from "./xds-simulator.ts";

/** What was recorded of one proxy, and which namespaces' proxies get the same. */
export interface Recording {
  readonly namespaces: readonly string[];
  readonly sync: readonly RecordedResponse[];
  readonly changes: Readonly<Record<ChangeKind, readonly RecordedResponse[]>>;
}

/** What a benchmark asks of the server. */
export interface BareRequest {
  readonly kind: "change";
  readonly change: ChangeKind;
}

/** What it answers; `ready` comes unasked. Times are nanoseconds of the monotonic clock. */
export type BareAnswer =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "changed"; readonly at: string };

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Messages as they are sent. */
interface Script {
  readonly namespaces: readonly string[];
  readonly sync: readonly { readonly type: string; readonly bytes: Buffer }[];
  readonly changes: Readonly<Record<ChangeKind, readonly Buffer[]>>;
}

const decode = ({ bytes }: RecordedResponse): Buffer => Buffer.from(bytes, "base64");

function scriptOf({ namespaces, sync, changes }: Recording): Script {
  return {
    namespaces,
    sync: sync.map((response) => ({ type: response.type, bytes: decode(response) })),
    changes: { route: changes.route.map(decode), endpoints: changes.endpoints.map(decode) },
  };
}

const [, , file = ""] = process.argv;
const scripts = (JSON.parse(readFileSync(file, "utf8")) as readonly Recording[]).map(scriptOf);
const calls = new Map<Call, Script>();

/** The script for the node that a stream's first request names, in its id. */
function scriptFor(request: Buffer): Script | undefined {
  return scripts.find(({ namespaces }) => namespaces.some((each) => request.includes(`~${each}.svc.cluster.local`)));
}

function accept(call: Call): void {
  const answered = new Set<string>();
  call.on("data", (request: Buffer) => {
    const script = calls.get(call) ?? scriptFor(request);
    if (!script) throw new Error("a stream's first request names no namespace that was recorded");
    calls.set(call, script);
    const asked = script.sync.find(({ type }) => request.includes(type))?.type;
    if (asked === undefined || answered.has(asked)) return;
    answered.add(asked);
    for (const { type, bytes } of script.sync) if (type === asked) call.write(bytes);
  });
  call.on("end", () => call.end());
  call.on("cancelled", () => calls.delete(call));
}

const answer = (message: BareAnswer): void => void process.send?.(message);
process.on("message", ({ change }: BareRequest) => {
  const at = String(process.hrtime.bigint());
  for (const [call, { changes }] of calls) for (const bytes of changes[change]) call.write(bytes);
  answer({ kind: "changed", at });
});
process.on("disconnect", () => process.exit());

const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
server.addService(adsService, { deltaAggregatedResources: accept, streamAggregatedResources: accept });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  answer({ kind: "ready", port });
});
