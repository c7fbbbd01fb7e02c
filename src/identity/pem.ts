import { WeftError } from "#base/errors.ts";

const block = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;

/** The blocks of a PEM text in order, with what each is said to be. Text beside them is passed over. */
export function pemBlocks(text: string): readonly { readonly label: string; readonly bytes: Buffer }[] {
  return [...text.matchAll(block)].map(([, label = "", body = ""]) => ({ label, bytes: Buffer.from(body, "base64") }));
}

/**
 * The only block of a text.
 * @throws WeftError `InvalidArgument` when there is another, or none of these labels.
 */
export function onlyBlock(text: string, labels: readonly string[]): Buffer {
  const [first, second] = pemBlocks(text);
  if (!first || second || !labels.includes(first.label)) {
    throw new WeftError("InvalidArgument", `it must be one PEM block of type ${labels[0]}`);
  }
  return first.bytes;
}
