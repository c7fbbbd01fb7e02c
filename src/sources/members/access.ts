import type { ResourceObject } from "#api/meta.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { ServerAddress } from "#kube/connection.ts";
import { readEmbeddedKubeconfig } from "#kube/embedded-kubeconfig.ts";

/** How a member's API is reached, or why it cannot be. */
export type Access =
  | { readonly kind: "address"; readonly address: ServerAddress }
  /** It is not known yet. */
  | { readonly kind: "unknown" }
  | { readonly kind: "none"; readonly reason: string; readonly message: string };

/** The key of a Secret that holds a kubeconfig, unless it is told. */
export const kubeconfigKey = "kubeconfig";

/** A Secret's place, as `namespace/name`. */
export function placeText({ namespace = "", name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** The access that a Secret gives by one of its keys. */
export function accessOf(secret: ResourceObject, key: string): Access {
  const place = `the Secret ${placeText(secret.metadata)}`;
  const data = (secret as { readonly data?: Readonly<Record<string, unknown>> }).data ?? {};
  const value = Object.hasOwn(data, key) ? data[key] : undefined;
  if (typeof value !== "string" || value === "") {
    const message = `${place} has no key "${key}": put the kubeconfig there`;
    return { kind: "none", reason: "NoKubeconfig", message };
  }
  try {
    const text = Buffer.from(value, "base64").toString("utf8");
    return { kind: "address", address: readEmbeddedKubeconfig(text, `${place}, key ${key}`) };
  } catch (error) {
    const reason = codeOf(error) === "Unsupported" ? "KubeconfigRefused" : "KubeconfigInvalid";
    return { kind: "none", reason, message: messageOf(error) };
  }
}
