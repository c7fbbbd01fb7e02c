/** A client in a process of its own, so that a test can freeze it: `node frozen-child.ts ADDRESS`. */
import { typeUrls } from "#proto/encoded.ts";
import { DeltaStream } from "./grpc-client.ts";

const [, , socketPath = ""] = process.argv;
const client = new DeltaStream({ socketPath });
client.ask({ node: { id: "frozen" }, typeUrl: typeUrls.cluster });
client.stream.once("data", () => process.send?.("connected"));
process.on("disconnect", () => process.exit());
