/**
 * The reviews service: `/reviews/BOOK` tells what readers wrote. HTTP on 9080. Version v1 knows no ratings; v2 asks the ratings
 * service and shows black stars, v3 red ones.
 */
import { findBook } from "./books.ts";
import { callHttp, passedHeaders } from "./call.ts";
import { serveHttp } from "./http-service.ts";
import { readSettings } from "./instance.ts";
import type { RatingsAnswer, ReviewsAnswer } from "./messages.ts";

const settings = readSettings("reviews", 9080, process.env);
const ratingsUrl = settings.get("RATINGS_URL", "http://ratings:9080");
const colours: Readonly<Record<string, "black" | "red">> = { v2: "black", v3: "red" };
const colour = colours[settings.instance.version];

async function withStars(id: string, plain: ReviewsAnswer, headers: Record<string, string>): Promise<ReviewsAnswer> {
  if (colour === undefined) return plain;
  const ratings = await callHttp<RatingsAnswer>(`${ratingsUrl}/ratings/${encodeURIComponent(id)}`, headers);
  if ("error" in ratings) return { ...plain, colour, ratings };
  const reviews = plain.reviews.map((review) => {
    const stars = ratings.stars[review.reviewer];
    return stars === undefined ? review : { ...review, stars };
  });
  return { ...plain, colour, reviews, ratings };
}

serveHttp(settings, async ({ url, headers }) => {
  const [, first, id] = url.pathname.split("/");
  const book = findBook(id ?? "");
  if (first !== "reviews" || book === undefined) return { status: 404, json: { error: `no book "${id ?? ""}"` } };
  const reviews = book.reviews.map(({ reviewer, text }) => ({ reviewer, text }));
  return { status: 200, json: await withStars(book.id, { ...settings.instance, reviews }, passedHeaders(headers)) };
});
