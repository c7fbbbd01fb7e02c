/** Keeps rules for probes in the network namespace that it was started in, as its parent says, until that goes. */
import { ProbeRules, type ProbedPort } from "#agent/managed/probe-rules.ts";

// Children of this kind are started without an environment.
process.env["PATH"] = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
const rules = new ProbeRules();

process.on("message", (ports: readonly ProbedPort[] | "clear") => {
  const done = ports === "clear" ? ProbeRules.clear() : rules.set("pod", ports);
  done.then(
    () => process.send?.("done"),
    (error: unknown) => process.send?.(String(error)),
  );
});
process.once("disconnect", () => process.exit());
