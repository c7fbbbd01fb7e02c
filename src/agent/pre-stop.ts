import type { Container } from "#api/kubernetes/container.ts";
import type { Clock } from "#base/clock.ts";
import { runProbe } from "./probe.ts";
import type { ProbeTarget } from "./probe.ts";

/** Does what a container's `preStop` asks for; over when the grace is. Its outcome changes nothing. */
export async function runPreStop(
  container: Container,
  target: ProbeTarget,
  graceMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const hook = container.lifecycle?.preStop;
  if (hook === undefined) return;
  if (hook.sleep !== undefined) {
    await clock.sleep(Math.min(hook.sleep.seconds * 1000, graceMs), signal).catch(() => undefined);
    return;
  }
  const { exec, httpGet } = hook;
  const once = { timeoutSeconds: graceMs / 1000, periodSeconds: 1, successThreshold: 1, failureThreshold: 1 };
  const handler = exec === undefined ? (httpGet === undefined ? {} : { httpGet }) : { exec };
  await runProbe({ ...once, ...handler }, target, clock, signal);
}
