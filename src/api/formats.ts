import { isDuration, parseDuration } from "#base/duration.ts";
import { quantityValue } from "./quantity.ts";

const dateTime = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[-+]\d{2}:\d{2})$/;
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** A format of a text: whether a text has it, and what a user reads who wrote another. */
interface TextFormat {
  readonly accepts: (text: string) => boolean;
  readonly message: string;
}

/** A format of a number: the range it stands for. */
interface NumberFormat {
  readonly minimum: number;
  readonly maximum: number;
}

const dnsName = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*";

/** A format that an expression says. */
function matching(expression: string, message: string): TextFormat {
  const pattern = new RegExp(`^(?:${expression})$`);
  return { accepts: (text) => pattern.test(text), message };
}

/** Formats that texts of schemas may have. */
export const textFormats: Readonly<Record<string, TextFormat>> = {
  "dns-label": matching(
    "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?",
    "must be lower case letters, digits and '-', with a letter or digit at both ends",
  ),
  "dns-name": matching(dnsName, "must be a DNS name in lower case"),
  "dns-group": matching(`(?:${dnsName})?`, "must be empty or a DNS name in lower case"),
  "wildcard-dns-name": matching(
    `(?:\\*\\.)?${dnsName}`,
    "must be a DNS name in lower case, whose first label may be a wildcard, *",
  ),
  "kind-name": matching(
    "[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?",
    "must be letters, digits and '-', a letter first and a letter or digit last",
  ),
  "controller-name": matching(
    `${dnsName}/[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+`,
    "must be a DNS name, '/' and a path, such as example.com/gateway-controller",
  ),
  "header-name": matching("[A-Za-z0-9!#$%&'*+\\-.^_`|~]+", "must be a header's name"),
  "gateway-duration": matching(
    "(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}",
    "must be a duration of the Gateway API: one to four numbers of at most five digits with h, m, s or ms, such as 1h30m",
  ),
  duration: { accepts: isDuration, message: "must be a duration, such as 250ms, 10s or 1h30m" },
  "positive-duration": {
    // Rounded to nanoseconds, since a fraction of a second has no exact number.
    accepts: (text) =>
      isDuration(text) && parseDuration(text) >= 1 && Math.round(parseDuration(text) * 1e6) % 1e6 === 0,
    message: "must be a duration of whole milliseconds, 1ms or more, such as 250ms, 10s or 1h30m",
  },
  "date-time": {
    accepts: (text) => dateTime.test(text) && !Number.isNaN(Date.parse(text)),
    message: "must be a time of RFC 3339, such as 2026-01-31T12:00:00Z",
  },
  quantity: {
    accepts: (text) => !Number.isNaN(quantityValue(text)),
    message: "must be a quantity: a number with or without a unit, such as 500m, 2 or 1Gi",
  },
  byte: {
    accepts: (text) => {
      const joined = text.replaceAll(/[\r\n]/g, "");
      return joined.length % 4 === 0 && base64.test(joined);
    },
    message: "must be base64",
  },
};

/** Formats that numbers of schemas may have. A whole number beyond 2^53 would not survive JSON. */
export const numberFormats: Readonly<Record<string, NumberFormat>> = {
  int32: { minimum: -2_147_483_648, maximum: 2_147_483_647 },
  int64: { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
  double: { minimum: -Number.MAX_VALUE, maximum: Number.MAX_VALUE },
};
