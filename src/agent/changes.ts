import { mkdirSync, watch } from "node:fs";

/** Tells the name of each file of a folder that is touched, made or removed; supervisors tell that way what happened. */
export function watchTouches(folder: string, touched: (name: string) => void): Disposable {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const watcher = watch(folder, (_event, name) => {
    if (name !== null) touched(name);
  });
  return { [Symbol.dispose]: () => watcher.close() };
}
