/** A process that listens on a Unix socket and does nothing else: `node listening-child.ts PATH`. */
import { createServer } from "node:net";

const [, , path = ""] = process.argv;
createServer().listen(path, () => process.send?.("listening"));
process.on("disconnect", () => process.exit());
