import { choice } from "../schema.ts";

/** What proxies are given: what Istio gives them, or less of what has nothing to do. */
export const profiles = ["default", "performance"] as const;
/** One of them. */
export type Profile = (typeof profiles)[number];

/** The label of Namespaces, and the annotation of Pods, that says which. */
export const profileKey = "mesh.weft.dev/profile";

/** The profile that a label or an annotation says; undefined for any other word. */
export function profileOf(text: string | undefined): Profile | undefined {
  return profiles.find((each) => each === text);
}

/** The field that says which. */
export const profileField = choice(
  "What sidecars are given: what Istio gives them, default, or less of what nobody has switched on, performance. The default unless set.",
  profiles,
);
