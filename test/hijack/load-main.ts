/**
 * Calls a host from the network that it is started in, until it is told to end; then prints what it saw. New connections, each with one
 * request that is not tried again, and connections that stay: some that say something all the time, some that say nothing until the end.
 */
import { connect, type Socket } from "node:net";

const [host = "", httpPort = "0", rawPort = "0", expected = ""] = process.argv.slice(2);
const everyMs = 20;
const limitMs = 6000;
const problems: string[] = [];
let requests = 0;
let words = 0;

function request(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(httpPort) });
    let text = "";
    const end = (problem?: string): void => {
      if (problem !== undefined) problems.push(`request ${requests}: ${problem}`);
      socket.destroy();
      resolve();
    };
    socket.setTimeout(limitMs, () => end("timeout"));
    socket.once("error", (error) => end(error.message));
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.once("connect", () => socket.write("GET / HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n"));
    socket.once("end", () => {
      const by = /^by: (\S+)/im.exec(text)?.[1] ?? "nobody";
      const original = /^original: (\S+)/im.exec(text)?.[1] ?? "";
      end(by === expected && original === `${host}:${httpPort}` ? undefined : `answered by ${by} for ${original}`);
    });
    requests += 1;
  });
}

/** A connection that stays. */
class Talk {
  readonly #name: string;
  readonly #socket: Socket;
  #heard = "";
  #ending = false;
  #lost = false;

  constructor(name: string) {
    this.#name = name;
    this.#socket = connect({ host, port: Number(rawPort) });
    const fault = (what: string): void => {
      if (!this.#ending) problems.push(`${this.#name}: ${what}`);
    };
    this.#socket.on("error", (error) => fault(error.message)).on("close", () => fault("closed"));
    this.#socket.on("data", (chunk) => (this.#heard += String(chunk)));
  }

  /** Says a word and hears it again. */
  async say(): Promise<void> {
    if (this.#lost) return;
    this.#heard = "";
    words += 1;
    const word = `word ${words};`;
    this.#socket.write(word);
    for (const begun = Date.now(); this.#heard !== word; await new Promise((resolve) => setTimeout(resolve, 5))) {
      if (Date.now() - begun < limitMs) continue;
      this.#lost = true;
      problems.push(`${this.#name}: heard "${this.#heard}" for "${word}"`);
      return;
    }
  }

  end(): void {
    this.#ending = true;
    this.#socket.destroy();
  }
}

const talks = Array.from({ length: 4 }, (_, at) => new Talk(`talk ${at}`));
const silent = Array.from({ length: 4 }, (_, at) => new Talk(`silent ${at}`));
for (const each of silent) await each.say();
const pending = new Set<Promise<void>>();
const calling = setInterval(() => {
  const call = request();
  pending.add(call);
  void call.then(() => pending.delete(call));
}, everyMs);
const over = new AbortController();
const talked = talks.map(async (talk) => {
  while (!over.signal.aborted) {
    await talk.say();
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
});
process.send?.("ready");
process.once("message", () => void finish());

async function finish(): Promise<void> {
  clearInterval(calling);
  over.abort();
  await Promise.all([...talked, ...pending]);
  await Promise.all(silent.map((each) => each.say()));
  for (const each of [...talks, ...silent]) each.end();
  process.send?.({ requests, words, problems: problems.slice(0, 500) }, () => process.exit());
}
