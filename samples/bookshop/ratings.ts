/** The ratings service: `/ratings/BOOK` tells the stars by reviewer. HTTP on 9080. */
import { findBook } from "./books.ts";
import { serveHttp } from "./http-service.ts";
import { readSettings } from "./instance.ts";
import type { RatingsAnswer } from "./messages.ts";

const settings = readSettings("ratings", 9080, process.env);

serveHttp(settings, async ({ url }) => {
  const [, first, id] = url.pathname.split("/");
  const book = findBook(id ?? "");
  if (first !== "ratings" || book === undefined) return { status: 404, json: { error: `no book "${id ?? ""}"` } };
  const stars = Object.fromEntries(book.reviews.map(({ reviewer, stars }) => [reviewer, stars]));
  return { status: 200, json: { ...settings.instance, stars } satisfies RatingsAnswer };
});
