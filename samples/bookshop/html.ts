import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Failure, Part } from "./call.ts";
import type { BookDetails, PageAnswer, ReviewsAnswer, ShownReview } from "./messages.ts";

const style = readFileSync(join(import.meta.dirname, "page.css"), "utf8");
const script = readFileSync(join(import.meta.dirname, "ask.js"), "utf8");

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string | number): string {
  return String(text).replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}

function sorry(what: string, { error, status }: Failure): string {
  const code = status === null ? "" : ` <b>${status}</b>`;
  return `<p class="sorry">Sorry, ${what} cannot be had right now.${code} <small>${escape(error)}</small></p>`;
}

function form(inside: string): string {
  return `<form method="post" action="/sign-in">${inside}</form>`;
}

function signedIn(user: string | null): string {
  if (user === null)
    return form(
      '<input name="user" placeholder="your name" aria-label="your name" maxlength="40" required><button>Sign in</button>',
    );
  return form(`<span>Welcome, <b>${escape(user)}</b></span><button name="user" value="">Sign out</button>`);
}

function cover(
  { id, title, author, cover }: Pick<BookDetails, "id" | "title" | "author" | "cover">,
  shown: boolean,
): string {
  const [from, to] = cover;
  const label = `<span class="title">${escape(title)}</span><span class="author">${escape(author)}</span>`;
  const colours = `style="--from:${escape(from)};--to:${escape(to)}"`;
  return `<a class="cover${shown ? " shown" : ""}" href="/?book=${encodeURIComponent(id)}" ${colours}>${label}</a>`;
}

function shelf({ details, book }: PageAnswer): string {
  if ("error" in details) return "";
  return `<nav class="shelf">${details.shelf.map((one) => cover(one, one.id === book)).join("")}</nav>`;
}

function detailsCard({ details, stock, ticker }: PageAnswer): string {
  const copies =
    "error" in stock ? sorry("the stock", stock) : `<p class="stock">${escape(stock.copies)} copies in stock</p>`;
  const visits = "error" in ticker ? "" : `<p class="visits">looked at ${escape(ticker.visits)} times</p>`;
  if ("error" in details) return `<section class="card">${sorry("the book's details", details)}${copies}</section>`;
  const { title, author, year, pages, about } = details.book;
  return `<section class="card"><h2>${escape(title)}</h2>
<p class="byline">${escape(author)} &middot; ${escape(year)} &middot; ${escape(pages)} pages</p>
<p>${escape(about)}</p>${copies}${visits}</section>`;
}

function stars({ stars }: ShownReview, colour: string): string {
  if (stars === undefined) return "";
  const given = Math.max(0, Math.min(5, Math.round(stars)));
  const label = `${given} of 5 stars`;
  return `<span class="stars ${colour}" title="${label}" aria-label="${label}">${"&#9733;".repeat(given)}<i>${"&#9733;".repeat(5 - given)}</i></span>`;
}

function reviewsCard(reviews: Part<ReviewsAnswer>): string {
  if ("error" in reviews) return `<section class="card"><h2>Reviews</h2>${sorry("the reviews", reviews)}</section>`;
  const { colour, ratings } = reviews;
  const list = reviews.reviews.map(
    (review) =>
      `<blockquote><p>${escape(review.text)}</p><footer>${escape(review.reviewer)} ${stars(review, colour ?? "")}</footer></blockquote>`,
  );
  const failed = ratings !== undefined && "error" in ratings ? sorry("the stars", ratings) : "";
  return `<section class="card"><h2>Reviews <span class="badge ${escape(reviews.version)}">${escape(reviews.version)}</span></h2>${list.join("")}${failed}</section>`;
}

function answeredRow(
  name: string,
  protocol: string,
  part: Part<{ version: string; pod: string; cluster: string }> | null,
): string {
  if (part === null) return `<tr class="quiet"><th>${name}</th><td>${protocol}</td><td colspan="4">not asked</td></tr>`;
  if ("error" in part)
    return `<tr class="bad"><th>${name}</th><td>${protocol}</td><td colspan="3">${escape(part.error)}</td><td>${part.status ?? "-"}</td></tr>`;
  const { version, pod, cluster, status } = part;
  const cells = [
    protocol,
    `<span class="badge ${escape(version)}">${escape(version)}</span>`,
    `<code>${escape(pod)}</code>`,
    escape(cluster),
    status,
  ];
  return `<tr><th>${name}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function answered({ page, details, reviews, ratings, stock, ticker }: PageAnswer): string {
  const rows = [
    answeredRow("page", "HTTP", { ...page, status: 200 }),
    answeredRow("details", "HTTP", details),
    answeredRow("reviews", "HTTP", reviews),
    answeredRow("ratings", "HTTP", ratings),
    answeredRow("stock", "gRPC", stock),
    answeredRow("ticker", "TCP", ticker),
  ];
  const head = ["service", "over", "version", "pod", "cluster", "status"].map((name) => `<th>${name}</th>`).join("");
  return `<section class="card wide"><h2>Who answered</h2><table><thead><tr>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></section>`;
}

const asking = `<section class="card wide"><h2>Ask again</h2>
<p>Each dot is one answer, coloured by the version of reviews: <span class="badge v1">v1</span> without stars,
<span class="badge v2">v2</span> black, <span class="badge v3">v3</span> red, <span class="badge none">none</span> failed.</p>
<p><button data-ask="1">once</button> <button data-ask="20">20 times</button> <button data-ask="100">100 times</button></p>
<div id="dots" aria-live="polite"></div><p id="tally"></p></section>`;

/** The shop's page as HTML, whatever parts of it could be had. */
export function renderPage(answer: PageAnswer): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>The Weaver's Bookshop</title><style>${style}</style></head>
<body><header><h1><a href="/">The Weaver's Bookshop</a></h1>${signedIn(answer.user)}</header>
<main>${shelf(answer)}${detailsCard(answer)}${reviewsCard(answer.reviews)}${asking}${answered(answer)}</main>
<script type="module">${script}</script></body></html>
`;
}
