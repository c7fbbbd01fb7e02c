import { Client, credentials } from "@grpc/grpc-js";

/**
 * Asks a container runtime for its version, as kubelet does first. containerd answers its own clients before this: it looks at all of
 * its containers first, and a kubelet that asks meanwhile ends.
 * @param socket path of its socket.
 * @throws Error while it does not answer.
 */
export async function criAnswers(socket: string): Promise<true> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  const bytes = (message: Buffer): Buffer => message;
  try {
    await new Promise<void>((resolve, reject) => {
      const deadline = Date.now() + 5_000;
      const path = "/runtime.v1.RuntimeService/Version";
      client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), { deadline }, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    return true;
  } finally {
    client.close();
  }
}
