/**
 * The page service, the shop's front: `/` is a page for people, `/api/page` the same as JSON (`?book=ID` chooses a book).
 * HTTP on 9080. It asks details and reviews over HTTP/1.1, stock over gRPC and the ticker over plain TCP, all at once, and answers
 * whatever of it came.
 */
import type { IncomingHttpHeaders } from "node:http";
import { books } from "./books.ts";
import { callHttp, callLine, passedHeaders } from "./call.ts";
import { renderPage } from "./html.ts";
import { serveHttp } from "./http-service.ts";
import type { Asked, Reply } from "./http-service.ts";
import { readSettings } from "./instance.ts";
import type { DetailsAnswer, PageAnswer, ReviewsAnswer, TickerAnswer } from "./messages.ts";
import { StockClient } from "./stock-client.ts";

const settings = readSettings("page", 9080, process.env);
const detailsUrl = settings.get("DETAILS_URL", "http://details:9080");
const reviewsUrl = settings.get("REVIEWS_URL", "http://reviews:9080");
const tickerAddress = settings.get("TICKER_ADDRESS", "ticker:9000");
const stock = new StockClient(settings.get("STOCK_ADDRESS", "stock:9090"));

/** Who visits: the header of a caller that knows, or the cookie of a browser that signed in. */
function userOf(headers: IncomingHttpHeaders): string | null {
  const header = headers["end-user"];
  if (typeof header === "string") return header;
  const cookie = /(?:^|;\s*)user=([^;]*)/.exec(headers.cookie ?? "")?.[1];
  try {
    return cookie === undefined || cookie === "" ? null : decodeURIComponent(cookie);
  } catch {
    return null;
  }
}

async function answerFor({ url, headers }: Asked): Promise<PageAnswer> {
  const book = url.searchParams.get("book") ?? books[0].id;
  const user = userOf(headers);
  const passed = { ...(user === null ? {} : { "end-user": encodeURIComponent(user) }), ...passedHeaders(headers) };
  const path = encodeURIComponent(book);
  const [details, reviews, count, ticker] = await Promise.all([
    callHttp<DetailsAnswer>(`${detailsUrl}/details/${path}`, passed),
    callHttp<ReviewsAnswer>(`${reviewsUrl}/reviews/${path}`, passed),
    stock.count(book, passed),
    callLine<TickerAnswer>(tickerAddress, `visit ${path}`),
  ]);
  const ratings = "error" in reviews ? null : (reviews.ratings ?? null);
  return { page: settings.instance, user, book, details, reviews, ratings, stock: count, ticker };
}

/** Signing in is only saying a name: it shows how routes can depend on who visits. */
function signIn({ body }: Asked): Reply {
  const name = (new URLSearchParams(body).get("user") ?? "").trim().slice(0, 40);
  const cookie = `user=${encodeURIComponent(name)}; Path=/; HttpOnly; SameSite=Lax${name === "" ? "; Max-Age=0" : ""}`;
  return { status: 303, text: "", headers: { location: "/", "set-cookie": cookie } };
}

serveHttp(settings, async (asked) => {
  const { method, url } = asked;
  if (method === "POST" && url.pathname === "/sign-in") return signIn(asked);
  if (method !== "GET") return { status: 405, json: { error: `${method} is not served` } };
  if (url.pathname === "/api/page") return { status: 200, json: await answerFor(asked) };
  if (url.pathname !== "/") return { status: 404, json: { error: `there is nothing at ${url.pathname}` } };
  const headers = { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" };
  return { status: 200, text: renderPage(await answerFor(asked)), headers };
});
