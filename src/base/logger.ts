/** Levels in rising order of importance. */
export const logLevels = ["debug", "info", "warn", "error"] as const;

/** One of the levels. */
export type LogLevel = (typeof logLevels)[number];

/** What stands beside a message: short, structured, never a secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where a component says what it did. A fault is logged once, where it is handled. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with more fields on every line. */
  with(fields: LogFields): Logger;
}

/** How a logger writes. */
export interface LoggerOptions {
  /** Below this level nothing is written. */
  readonly level: LogLevel;
  /** Takes one finished line, without its line end. */
  readonly write: (line: string) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A logger of one JSON object a line: `{"time","level","msg",...fields}`. */
export function jsonLogger(options: LoggerOptions, base: LogFields = {}): Logger {
  const threshold = logLevels.indexOf(options.level);
  const at =
    (level: LogLevel) =>
    (msg: string, fields?: LogFields): void => {
      if (logLevels.indexOf(level) < threshold) return;
      options.write(JSON.stringify({ time: new Date(options.now()).toISOString(), level, msg, ...base, ...fields }));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => jsonLogger(options, { ...base, ...fields }),
  };
}

/** A logger that says nothing, for tests. */
export const silentLogger: Logger = jsonLogger({ level: "error", write: () => undefined, now: () => 0 });
