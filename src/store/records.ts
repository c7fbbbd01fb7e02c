import type { DatabaseSync } from "node:sqlite";
import type { RecordRow, Row } from "./sqlite-protocol.ts";
import type { RecordLimits } from "./port.ts";

/** Where a row stands, in the order of the statements' parameters. */
function place({ partition, resource, namespace, name }: Omit<Row, "revision" | "text" | "time">): string[] {
  return [partition, resource, namespace, name];
}

const ofKey = "partition = ? AND resource = ? AND namespace = ? AND name = ?";

/** The records of writes in a database: who wrote what, beside the state itself, and kept for longer. */
export class RecordTable {
  readonly #limits: RecordLimits;
  readonly #insert: (row: Row, record: RecordRow) => void;
  readonly #select: (key: Omit<Row, "revision" | "text" | "time">) => readonly Record<string, unknown>[];
  readonly #prune: (before: number) => void;

  constructor(database: DatabaseSync, limits: RecordLimits) {
    this.#limits = limits;
    database.exec(`
      CREATE TABLE IF NOT EXISTS records (
        revision INTEGER PRIMARY KEY,
        partition TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        time INTEGER NOT NULL, minor INTEGER NOT NULL, author TEXT, object TEXT
      );
      CREATE INDEX IF NOT EXISTS records_of_objects ON records (partition, resource, namespace, name, minor, revision);
      CREATE INDEX IF NOT EXISTS records_by_time ON records (time)`);
    const insert = database.prepare("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    // The first record of an object that was there before brings the object as it was: by its row, which its last version still has.
    const baseline = database.prepare(
      `INSERT OR IGNORE INTO records SELECT revision, partition, resource, namespace, name, time, 0, NULL, object
       FROM changes WHERE revision = ? AND NOT EXISTS (SELECT 1 FROM records WHERE ${ofKey})`,
    );
    const crowded = database.prepare(
      `DELETE FROM records WHERE ${ofKey} AND minor = ? AND revision <= (
         SELECT revision FROM records WHERE ${ofKey} AND minor = ? ORDER BY revision DESC LIMIT 1 OFFSET ?)
       AND revision NOT IN (
         SELECT max(revision) AS last FROM records WHERE ${ofKey} AND minor = ? AND author IS NOT NULL
         GROUP BY author ->> 'user' ORDER BY last DESC LIMIT ?)`,
    );
    this.#insert = (row, { author, text, minor, before }) => {
      const key = place(row);
      if (before !== undefined) baseline.run(before, ...key);
      insert.run(row.revision, ...key, row.time, minor ? 1 : 0, author, text);
      const kind = [...key, minor ? 1 : 0];
      crowded.run(...kind, ...kind, limits.perObject, ...kind, limits.perObject);
    };
    const select = database.prepare(
      `SELECT revision, time, minor, author, object FROM records WHERE ${ofKey} ORDER BY revision`,
    );
    this.#select = (key) => select.all(...place(key));
    const old = database.prepare("DELETE FROM records WHERE time < ?");
    const excess = database.prepare(
      "DELETE FROM records WHERE revision <= (SELECT revision FROM records ORDER BY revision DESC LIMIT 1 OFFSET ?)",
    );
    this.#prune = (before) => {
      old.run(before);
      excess.run(limits.most);
    };
  }

  /** Writes the record of a row, in the row's transaction. */
  insert(row: Row): void {
    if (row.record !== undefined) this.#insert(row, row.record);
  }

  /** The records of an object, the oldest first. */
  of(key: Omit<Row, "revision" | "text" | "time">): readonly Record<string, unknown>[] {
    return this.#select(key);
  }

  /** Forgets what is older than allowed, or too much. @param now milliseconds since the epoch. */
  prune(now: number): void {
    this.#prune(now - this.#limits.maxAgeMs);
  }
}
