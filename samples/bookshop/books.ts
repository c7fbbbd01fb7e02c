/** A book of the shop. */
export interface Book {
  /** As in addresses. */
  readonly id: string;
  readonly title: string;
  readonly author: string;
  readonly year: number;
  readonly pages: number;
  readonly about: string;
  /** Colours of the cover, from its top to its bottom. */
  readonly cover: readonly [string, string];
  readonly copies: number;
  readonly reviews: readonly Review[];
}

/** What a reader wrote, and how many stars of five the reader gave. */
export interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly stars: number;
}

/** Every book of the shop; the first is shown unless another is asked for. */
export const books: readonly [Book, ...Book[]] = [
  {
    id: "silas-marner",
    title: "Silas Marner: The Weaver of Raveloe",
    author: "George Eliot",
    year: 1861,
    pages: 208,
    about: "A linen weaver loses his faith, then his gold, and finds something better by his hearth.",
    cover: ["#8a5a2b", "#3f2a17"],
    copies: 7,
    reviews: [
      { reviewer: "Dorothea", text: "Slow at the loom and all the warmer for it.", stars: 5 },
      { reviewer: "Casaubon", text: "Commendably short. The key to it escapes me.", stars: 3 },
    ],
  },
  {
    id: "time-machine",
    title: "The Time Machine",
    author: "H. G. Wells",
    year: 1895,
    pages: 118,
    about: "An inventor rides eight hundred thousand years ahead and comes back late for dinner.",
    cover: ["#1f5f6b", "#0d2a33"],
    copies: 3,
    reviews: [
      { reviewer: "Weena", text: "I would have liked more flowers.", stars: 4 },
      { reviewer: "Filby", text: "An ingenious paradox, and I still do not believe it.", stars: 2 },
    ],
  },
  {
    id: "moby-dick",
    title: "Moby-Dick; or, The Whale",
    author: "Herman Melville",
    year: 1851,
    pages: 635,
    about: "A captain, a whale, and everything that a sailor ever wanted to know about both.",
    cover: ["#35507a", "#141f33"],
    copies: 12,
    reviews: [
      { reviewer: "Queequeg", text: "Good on harpoons. Good on friendship.", stars: 5 },
      { reviewer: "Bildad", text: "Too many chapters for the lay that is paid.", stars: 1 },
    ],
  },
  {
    id: "emma",
    title: "Emma",
    author: "Jane Austen",
    year: 1815,
    pages: 474,
    about: "Handsome, clever and rich, she arranges everybody's happiness but sees hers last.",
    cover: ["#7b3f61", "#351a2c"],
    copies: 5,
    reviews: [
      {
        reviewer: "Miss Bates",
        text: "So very obliging a book, I said so to my mother, who did not hear me.",
        stars: 5,
      },
      { reviewer: "Mr Woodhouse", text: "I should not advise it after supper.", stars: 4 },
    ],
  },
];

/** The book of that id. */
export function findBook(id: string): Book | undefined {
  return books.find((book) => book.id === id);
}
