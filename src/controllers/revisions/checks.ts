import { objectionsBetween } from "#api/weft/revision-report.ts";
import { type Revisions, revisionNamed } from "./state.ts";

/** What speaks against having proxies follow a revision now; empty for nothing. @throws WeftError `NotFound`. */
export function objectionsTo(known: Revisions, name: string): readonly string[] {
  const { ready, wanted, reports } = revisionNamed(known, name);
  const serving = known.revisions.find((each) => each.name === known.serving);
  const from = serving === undefined || serving.name === name ? [] : serving.reports;
  const few = ready < wanted ? [`${ready} of its ${wanted} control planes are ready`] : [];
  return [...few, ...objectionsBetween(from, reports)];
}
