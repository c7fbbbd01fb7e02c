/** Just enough of HTTP/2 (RFC 9113) and HPACK (RFC 7541) for a client with one stream on a connection in plain text. */

/** Types of frames. */
export const frameTypes = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

export const flags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4 } as const;

export const settings = { enablePush: 2, initialWindowSize: 4 } as const;

/** Bytes of a frame's head. */
export const frameHeadBytes = 9;
/** Bytes that a frame may hold, and a window has, unless settings say otherwise. */
export const mostFrameBytes = 16_384;
export const firstWindowBytes = 65_535;

/** A frame of up to `mostFrameBytes`. */
export function frame(type: number, flag: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flag, 4);
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, frameHeadBytes);
  return bytes;
}

export function settingsFrame(values: Readonly<Record<number, number>>): Buffer {
  const payload = Buffer.concat(
    Object.entries(values).map(([id, value]) => {
      const entry = Buffer.alloc(6);
      entry.writeUInt16BE(Number(id), 0);
      entry.writeUInt32BE(value, 2);
      return entry;
    }),
  );
  return frame(frameTypes.settings, 0, 0, payload);
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes, 0);
  return frame(frameTypes.windowUpdate, 0, stream, payload);
}

/** Indexes of HPACK's static table. */
const indexed = { methodPost: 3, schemeHttp: 6 } as const;
const named = { ":authority": 1, ":path": 4, "content-type": 31 } as const;

function text(value: string): Buffer {
  // Not in Huffman's code, and shorter than 127 bytes: one byte of length.
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")]);
}

function literal(name: keyof typeof named, value: string): Buffer {
  const index = named[name];
  // Without indexing: four bits of index, then the rest.
  return Buffer.concat([Buffer.from(index < 15 ? [index] : [15, index - 15]), text(value)]);
}

/** The headers of a gRPC call. */
export function grpcHeaders(authority: string, path: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x80 | indexed.methodPost, 0x80 | indexed.schemeHttp]),
    literal(":authority", authority),
    literal(":path", path),
    literal("content-type", "application/grpc"),
    Buffer.concat([Buffer.from([0]), text("te"), text("trailers")]),
  ]);
}
