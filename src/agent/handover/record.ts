import type { ProxyUpgrade } from "#api/kubernetes/proxy-upgrade.ts";
import type { ProxySettings } from "../proxy-settings.ts";

/** A build of Envoy that proxies are run with. */
export interface ProxyProgram {
  readonly version: string;
  /** Path of the agent's own copy. */
  readonly path: string;
  readonly sha256: string;
}

/** A proxy's process is being replaced by another one; times in milliseconds since the epoch. */
export interface HandoverRecord {
  /** What was asked for. */
  readonly asked: string;
  readonly program: ProxyProgram;
  /** The version that is replaced. */
  readonly before: string;
  /** The starts of both, as the container's record counts them. */
  readonly from: number;
  readonly to: number;
  /** The new one's number among those that took over from each other. */
  readonly epoch: number;
  readonly since: number;
  /** How the new one is started. */
  readonly settings?: ProxySettings;
  /** Why it is tried, if not since it was asked for: what it is to make good. */
  readonly heals?: string;
  /** When the new one served; before that the old one does. */
  served?: number;
  /** Connections that the old one had then, and has by now. */
  connections?: number;
  open?: number;
  /** Why it is given up: the new one is about to end. */
  failed?: string;
}

/** What a record knows of replacements of a proxy's process. */
export interface HandoverMemory {
  /** The Envoy that it is run with, where that is not the agent's usual one. */
  program?: ProxyProgram;
  /** How many processes before the one that serves handed over to each other; none unless told. */
  epoch?: number;
  /** Worker threads of the one that serves. */
  workers?: number;
  /** The last change of the annotation by which it is asked to begin anew that it has followed. */
  renewed?: string;
  handover?: HandoverRecord;
  /** How the last one went. */
  upgrade?: ProxyUpgrade;
}
