/** The details service: `/details` lists the books, `/details/BOOK` tells of one. HTTP on 9080. */
import { books, findBook } from "./books.ts";
import { serveHttp } from "./http-service.ts";
import { readSettings } from "./instance.ts";
import type { BookDetails, DetailsAnswer } from "./messages.ts";

const settings = readSettings("details", 9080, process.env);

serveHttp(settings, async ({ url }) => {
  const [, first, id] = url.pathname.split("/");
  const book = findBook(id ?? "");
  if (first !== "details" || book === undefined) return { status: 404, json: { error: `no book "${id ?? ""}"` } };
  const shelf = books.map(({ id, title, author, cover }) => ({ id, title, author, cover }));
  const { title, author, year, pages, about, cover } = book;
  const details: BookDetails = { id: book.id, title, author, year, pages, about, cover };
  return { status: 200, json: { ...settings.instance, book: details, shelf } satisfies DetailsAnswer };
});
