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

/** Formats that texts of schemas may have. */
export const textFormats: Readonly<Record<string, TextFormat>> = {
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
