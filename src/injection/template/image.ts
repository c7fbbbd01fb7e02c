import type { TemplateContext } from "./context.ts";

/** Kinds of images that Istio publishes; a tag that ends with one is of it. */
const knownKinds = /-(distroless|debug)$/;

function withKind(tag: string, kind: string): string {
  if (kind === "") return tag;
  const plain = tag.replace(knownKinds, "");
  return kind === "default" ? plain : `${plain}-${kind}`;
}

function imageUrl({ pod, settings }: TemplateContext, name: string, kind: string): string {
  const own = pod.metadata.annotations ?? {};
  const wanted = own["sidecar.istio.io/proxyImage"] ?? name;
  // A name with a registry stands for itself.
  if (wanted.includes("/")) return wanted;
  const { hub, tag, variant } = settings;
  return `${hub}/${name}:${withKind(tag, own["sidecar.istio.io/proxyImageType"] ?? (kind === "" ? variant : kind))}`;
}

/** The image of the proxy. */
export function proxyImage(context: TemplateContext): string {
  return imageUrl(context, context.settings.proxy.image, context.config.image?.imageType ?? "");
}

/** The image of the container that captures traffic. */
export function initImage(context: TemplateContext): string {
  return imageUrl(context, context.settings.initImage, "");
}

/** When the images are fetched, where the settings say it. */
export function pullPolicy({ settings }: TemplateContext): object {
  return settings.imagePullPolicy === "" ? {} : { imagePullPolicy: settings.imagePullPolicy };
}
