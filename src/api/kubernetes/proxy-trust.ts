/**
 * The condition in which a node's agent tells what the proxy of a Pod holds: True when the proxy has acknowledged all that it is
 * served, False while it has not. Nobody but who writes the status of Pods can say it.
 */
export const trustCondition = "mesh.weft.dev/ProxyTrust";

/** What a proxy was seen to hold. Roots are named by the first 32 hexadecimal digits of their SHA-256. */
export interface ProxyTrust {
  /** The root that the proxy's own certificate leads to. */
  readonly issuer: string;
  /** The roots that it checks its peers by. */
  readonly roots: readonly string[];
  /** The roots that its agent checks the control plane by. */
  readonly controlPlane: readonly string[];
  /** The version of the mesh's authority that its agent has heard of last; empty for none. */
  readonly version: string;
}

/** The annotation of the published roots that tells of which version of the mesh's authority they are: that of its Secret. */
export const authorityVersion = "mesh.weft.dev/authority-version";

/** What the condition says of it, for people and for `readTrust`. */
export function trustMessage({ issuer, roots, controlPlane, version }: ProxyTrust): string {
  const [peers, plane] = [roots.join(", "), controlPlane.join(", ")];
  return `certificate of ${issuer}; peers by ${peers}; control plane by ${plane}; authority ${version}`;
}

const form = /^certificate of ([0-9a-f]+); peers by ([0-9a-f, ]+); control plane by ([0-9a-f, ]+); authority (\w*)$/;

/** Reads `trustMessage`; undefined for any other text. */
export function readTrust(message: string): ProxyTrust | undefined {
  const [, issuer, roots, controlPlane, version] = form.exec(message) ?? [];
  if (issuer === undefined || roots === undefined || controlPlane === undefined || version === undefined)
    return undefined;
  return { issuer, roots: roots.split(", "), controlPlane: controlPlane.split(", "), version };
}
