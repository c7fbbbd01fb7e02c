import { aborted } from "#base/aborted.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { ProxySettings } from "../proxy-settings.ts";

/** Times that the control plane is asked how the proxy is to be started, and milliseconds between them. */
const mostAsked = 20;
const askAgainMs = 500;

/** How a proxy's settings are found out. */
export interface AskedSettings {
  /** Asks the control plane. */
  readonly ask: () => Promise<ProxySettings>;
  /** What holds while there is no control plane: what the injection said. */
  readonly otherwise: ProxySettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

async function asked({ ask, otherwise, clock, logger }: AskedSettings, signal: AbortSignal): Promise<ProxySettings> {
  for (let times = 1; !signal.aborted; times += 1) {
    try {
      return await ask();
    } catch (error) {
      if (times === 1 || times === mostAsked)
        logger.warn("the proxy's settings are not known", { asked: times, error: messageOf(error) });
      if (times === mostAsked) return otherwise;
      // Rejects when the signal aborts, which ends the loop.
      await clock.sleep(askAgainMs, signal).catch(() => undefined);
    }
  }
  return otherwise;
}

/**
 * How the proxy is to be started, as the control plane says; as the injection said while there is no control plane.
 * @returns undefined as soon as the signal aborts: then it is not to be started at all.
 */
export async function askedSettings(options: AskedSettings, signal: AbortSignal): Promise<ProxySettings | undefined> {
  const found = await Promise.race([asked(options, signal), aborted(signal)]);
  return signal.aborted ? undefined : (found ?? undefined);
}
