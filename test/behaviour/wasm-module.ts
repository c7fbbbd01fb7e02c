/** A WebAssembly module for proxies, small enough to be written here: it adds a header to requests. */

const i32 = 0x7f;

/** What every module begins with: its mark, and version 1. */
const preamble = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0] as const;

/** A number in as few groups of seven bits as it needs. */
function unsigned(value: number): readonly number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >> 7)];
}

function text(value: string): readonly number[] {
  return [...unsigned(value.length), ...Buffer.from(value)];
}

function list(items: readonly (readonly number[])[]): readonly number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function section(id: number, body: readonly number[]): readonly number[] {
  return [id, ...unsigned(body.length), ...body];
}

function signature(parameters: number, results: number): readonly number[] {
  const of = (count: number): readonly number[] => list(Array.from({ length: count }, () => [i32]));
  return [0x60, ...of(parameters), ...of(results)];
}

/** Puts a constant on the stack. */
function constant(value: number): readonly number[] {
  return value < 64 ? [0x41, value] : [0x41, (value & 127) | 128, value >> 7];
}

function body(code: readonly number[]): readonly number[] {
  const whole = [0, ...code, 0x0b];
  return [...unsigned(whole.length), ...whole];
}

/** A function of the proxy's interface: what it is called, which of the signatures it has, and what it does. */
type Exported = readonly [name: string, signature: number, code: readonly number[]];

/** The module's bytes; its interface is version 0.2.1 of Proxy-Wasm. */
export function headerModule(header: string, value: string): Buffer {
  const [name, content] = [16, 16 + header.length];
  const add = [0, name, header.length, content, value.length].flatMap(constant);
  const functions: readonly Exported[] = [
    ["proxy_abi_version_0_2_1", 1, []],
    ["proxy_on_memory_allocate", 2, constant(512)],
    ["proxy_on_context_create", 4, []],
    ["proxy_on_vm_start", 5, constant(1)],
    ["proxy_on_configure", 5, constant(1)],
    // Calls what it imports, drops the answer, and lets the request go on.
    ["proxy_on_request_headers", 3, [...add, 0x10, 0, 0x1a, ...constant(0)]],
  ];
  const signatures = [
    signature(5, 1),
    signature(0, 0),
    signature(1, 1),
    signature(3, 1),
    signature(2, 0),
    signature(2, 1),
  ];
  const at = (offset: number, bytes: string): readonly number[] => [0, ...constant(offset), 0x0b, ...text(bytes)];
  return Buffer.from([
    ...preamble,
    ...section(1, list(signatures)),
    ...section(2, list([[...text("env"), ...text("proxy_add_header_map_value"), 0, 0]])),
    ...section(3, list(functions.map(([, type]) => [type]))),
    ...section(5, list([[0, 1]])),
    ...section(
      7,
      list([
        [...text("memory"), 2, 0],
        ...functions.map(([each], index) => [...text(each), 0, ...unsigned(index + 1)]),
      ]),
    ),
    ...section(10, list(functions.map(([, , code]) => body(code)))),
    ...section(11, list([at(name, header), at(content, value)])),
  ]);
}
