/** A crowd of proxies that misbehave, in a process of its own, until it is ended: `node hostile-child.ts SOCKET`. */
import { typeUrls } from "#proto/encoded.ts";
import { DeltaStream, RawStream } from "./grpc-client.ts";

const [, , socketPath = ""] = process.argv;
process.on("disconnect", () => process.exit());

const pause = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

/** Does something again and again. */
async function again(act: (at: number) => Promise<void>): Promise<never> {
  for (let at = 0; ; at += 1) await act(at);
}

/** Opens a stream, does something with it, and leaves as soon as there is an answer. */
async function briefly(act: (stream: DeltaStream) => void): Promise<void> {
  using stream = new DeltaStream({ socketPath });
  act(stream);
  while (!stream.responses[0] && !stream.ended) await pause(5);
}

function nodeOf(word: string, at: number) {
  return { id: `sidecar~10.0.0.9~${word}-${at}.shop~shop.svc.cluster.local`, metadata: { CLUSTER_ID: "east" } };
}

async function flood(at: number): Promise<void> {
  using stream = new RawStream(socketPath);
  stream.stream.resume();
  stream.ask({ node: nodeOf("flood", at), typeUrl: typeUrls.cluster });
  await again(async () => {
    for (let turn = 0; turn < 50; turn += 1) stream.ask({ typeUrl: typeUrls.cluster });
    // What is not taken is not piled up here either.
    while (stream.stream.writableNeedDrain) await pause(20);
    await pause(25);
  });
}

async function stall(at: number): Promise<void> {
  using stream = new RawStream(socketPath);
  stream.ask({ node: nodeOf("stall", at), typeUrl: typeUrls.cluster });
  while (!stream.closed) await pause(20);
}

const crowd = [0, 1, 2].flatMap((at) => [
  flood(at),
  again(() => stall(at)),
  again(() => briefly((stream) => stream.ask({ node: nodeOf("loop", at), typeUrl: typeUrls.cluster }))),
  again(() =>
    briefly((stream) => {
      stream.ask({ node: nodeOf("garbage", at), typeUrl: typeUrls.cluster });
      stream.stream.write(Buffer.from([0xff, 0xff]));
    }),
  ),
  again((turn) =>
    briefly((stream) => {
      const names = Array.from({ length: 2000 }, (_, name) => `nothing-${turn}-${name}`);
      stream.ask({ node: nodeOf("ask", at), typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names });
    }),
  ),
]);
await Promise.all(crowd);
