import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { WeftError } from "#base/errors.ts";

/** An address in this process's own network. */
interface OwnPlace {
  readonly host: string;
  readonly port: number;
}

function taken({ host, port }: OwnPlace, error: unknown): WeftError {
  return new WeftError("Unavailable", `${host}:${port} cannot be opened`, error);
}

/** A UDP socket in this process's own network. @throws WeftError `Unavailable`. */
export async function bindHere(at: OwnPlace): Promise<UdpSocket> {
  const socket = createSocket("udp4");
  const bound = once(socket, "listening");
  socket.bind(at.port, at.host);
  try {
    await bound;
    return socket;
  } catch (error) {
    throw taken(at, error);
  }
}

/** A TCP connection from this process's own network. @throws WeftError `Unavailable`. */
export async function connectHere({ host, port }: OwnPlace, signal?: AbortSignal): Promise<Socket> {
  const socket = connect({ host, port });
  const stop = (): void => void socket.destroy(signal?.reason as Error);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    await once(socket, "connect");
    return socket;
  } catch (error) {
    throw new WeftError("Unavailable", `${host}:${port} is not reached`, error);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** One address over UDP and TCP, such as a name server's. @throws WeftError `Unavailable`. */
export async function serveHere(at: OwnPlace): Promise<{ readonly udp: UdpSocket; readonly tcp: Server }> {
  const udp = await bindHere(at);
  const tcp = createServer();
  const listening = once(tcp, "listening");
  tcp.listen(at.port, at.host);
  try {
    await listening;
    return { udp, tcp };
  } catch (error) {
    udp.close();
    throw taken(at, error);
  }
}
