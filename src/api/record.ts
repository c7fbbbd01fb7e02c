/**
 * The value that a record itself has under a key. Keys come from users, and plain objects answer to names such as
 * `constructor` too.
 */
export function ownValue<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}
