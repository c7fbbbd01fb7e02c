/**
 * The thread that owns the SQLite database of a store: it loads it, then commits what the store sends, so that waiting
 * for the disk never holds up the store's own thread. Started by `sqlite.ts` with `workerData: WorkerData`.
 */
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "#base/errors.ts";
import { RecordTable } from "./records.ts";
import type { FailureCause, Row, WorkerData, WriterReply, WriterRequest } from "./sqlite-protocol.ts";

/** Version of the tables, in `user_version`. */
const schemaVersion = 1;

/** Rows in one message while loading: large enough to be quick, small enough to pass memory on. */
const loadBatch = 1_000;

/**
 * An append-only log of changes. The state is each key's newest row; compaction removes the rows that it supersedes.
 * Exclusive locking keeps a second process out, whose memory would not see this one's writes.
 */
function open(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON",
  );
  const found = database.prepare("PRAGMA user_version").get()?.["user_version"];
  if (found !== 0 && found !== schemaVersion) {
    throw new Error(`its tables have version ${String(found)}, this program knows ${schemaVersion}`);
  }
  database.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS changes (
      revision INTEGER PRIMARY KEY,
      partition TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
      object TEXT, time INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER, compacted INTEGER);
    INSERT OR IGNORE INTO progress VALUES (0, 0, 0);
    PRAGMA user_version = ${schemaVersion};
    COMMIT`);
  return database;
}

type Send = (reply: WriterReply) => void;

function load(database: DatabaseSync, send: Send): void {
  const { revision, compacted } = database
    .prepare(
      "SELECT max(progress.revision, coalesce((SELECT max(revision) FROM changes), 0)) AS revision, compacted FROM progress",
    )
    .get() as { revision: number; compacted: number };
  let rows: Row[] = [];
  const select = database.prepare(
    "SELECT revision, partition, resource, namespace, name, object AS text, time FROM changes ORDER BY revision",
  );
  for (const row of select.iterate()) {
    rows.push(row as unknown as Row);
    if (rows.length < loadBatch) continue;
    send({ kind: "rows", rows });
    rows = [];
  }
  send({ kind: "rows", rows });
  send({ kind: "loaded", revision, compacted });
}

/** The statements, prepared once. */
function writer(
  database: DatabaseSync,
  records: RecordTable | undefined,
): (request: WriterRequest) => Exclude<WriterReply, { kind: "failed" }> {
  const perform = performer(database, records);
  return (request) => {
    if (request.kind === "records") return { kind: "records", rows: records?.of(request.key) ?? [] };
    perform(request);
    return { kind: "done" };
  };
}

/** Does what has no answer but that it is done. */
function performer(
  database: DatabaseSync,
  records: RecordTable | undefined,
): (request: Exclude<WriterRequest, { kind: "records" }>) => void {
  const insert = database.prepare("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)");
  const rewrite = database.prepare("UPDATE changes SET object = ? WHERE revision = ?");
  const remove = database.prepare("DELETE FROM changes WHERE revision = ?");
  // The newest row itself may be a removal that compaction takes away: its revision must not be given out again.
  const progress = database.prepare("UPDATE progress SET revision = max(revision, ?), compacted = ?");
  const transaction = (work: () => void): void => {
    database.exec("BEGIN IMMEDIATE");
    try {
      work();
      database.exec("COMMIT");
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  };
  return (request) => {
    switch (request.kind) {
      case "commit":
        return transaction(() => {
          for (const row of request.rows) {
            records?.insert(row);
            insert.run(row.revision, row.partition, row.resource, row.namespace, row.name, row.text, row.time);
          }
        });
      case "rewrite":
        transaction(() => {
          for (const row of request.rows) rewrite.run(row.text, row.revision);
        });
        // What the rows held before stands in the log until it is begun anew.
        return database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      case "compact":
        return transaction(() => {
          for (const revision of request.obsolete) remove.run(revision);
          progress.run(request.revision, request.revision);
        });
      case "prune":
        return transaction(() => records?.prune(request.now));
      case "close":
        return database.close();
    }
  };
}

/** SQLite's result codes (SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_NOTADB) that mean something to the user. */
const causes: ReadonlyMap<unknown, FailureCause> = new Map([
  [5, "in use"],
  [11, "damaged"],
  [26, "damaged"],
]);

function causeOf(error: unknown): FailureCause | undefined {
  return error instanceof Error && "errcode" in error ? causes.get(Number(error.errcode) & 0xff) : undefined;
}

function serve({ path, records }: WorkerData, port: NonNullable<typeof parentPort>): void {
  const send: Send = (reply) => port.postMessage(reply);
  let database: DatabaseSync;
  try {
    database = open(path);
    load(database, send);
  } catch (error) {
    const cause = causeOf(error);
    send({ kind: "failed", message: messageOf(error), ...(cause === undefined ? {} : { cause }) });
    return;
  }
  let perform: ReturnType<typeof writer> | undefined;
  port.on("message", (request: WriterRequest) => {
    try {
      // Not before something is asked for: who cannot read what was loaded ends without a change.
      perform ??= writer(database, records === undefined ? undefined : new RecordTable(database, records));
      send(perform(request));
    } catch (error) {
      send({ kind: "failed", message: messageOf(error) });
    }
    if (request.kind === "close") port.close();
  });
}

if (parentPort) serve(workerData as WorkerData, parentPort);
