import type { Part } from "./call.ts";
import type { Instance } from "./instance.ts";
import type { CountReply } from "./stock-api.ts";

/** A book as details tells of it. */
export interface BookDetails {
  readonly id: string;
  readonly title: string;
  readonly author: string;
  readonly year: number;
  readonly pages: number;
  readonly about: string;
  readonly cover: readonly [string, string];
}

/** What details answers. */
export interface DetailsAnswer extends Instance {
  readonly book: BookDetails;
  readonly shelf: readonly Pick<BookDetails, "id" | "title" | "author" | "cover">[];
}

/** What ratings answers: stars of five by reviewer. */
export interface RatingsAnswer extends Instance {
  readonly stars: Readonly<Record<string, number>>;
}

/** A review, with its stars where this version shows them and ratings answered. */
export interface ShownReview {
  readonly reviewer: string;
  readonly text: string;
  readonly stars?: number;
}

/** What reviews answers. */
export interface ReviewsAnswer extends Instance {
  readonly reviews: readonly ShownReview[];
  /** Of the stars; absent in the version without them. */
  readonly colour?: "black" | "red";
  /** What ratings answered; absent in the version that does not ask. */
  readonly ratings?: Part<RatingsAnswer>;
}

/** What the ticker answers. */
export interface TickerAnswer extends Instance {
  readonly book: string;
  readonly visits: number;
}

/** The answer of `GET /api/page`: each part is what a service answered, or why it did not. */
export interface PageAnswer {
  readonly page: Instance;
  /** Who is signed in, or null. */
  readonly user: string | null;
  /** The id of the book that is shown. */
  readonly book: string;
  readonly details: Part<DetailsAnswer>;
  readonly reviews: Part<ReviewsAnswer>;
  /** As reviews got it; null when reviews did not ask or did not answer. */
  readonly ratings: Part<RatingsAnswer> | null;
  /** Over gRPC. */
  readonly stock: Part<CountReply & Pick<Instance, "service">>;
  /** Over plain TCP. */
  readonly ticker: Part<TickerAnswer>;
}
