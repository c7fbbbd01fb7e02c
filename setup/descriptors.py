"""Writes one FileDescriptorSet from the serialized descriptors that generated Python modules hold.

usage: descriptors.py OUTPUT FOLDER...   (a later folder wins where two hold the same file)

The modules are parsed, never imported: nothing of them runs.
"""

import ast
import pathlib
import sys


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def name_and_imports(descriptor):
    """Fields 1 (name) and 3 (dependency) of google.protobuf.FileDescriptorProto."""
    name, imports, at = None, [], 0
    while at < len(descriptor):
        tag, at = read_varint(descriptor, at)
        if tag & 7 == 0:
            _, at = read_varint(descriptor, at)
            continue
        length, at = read_varint(descriptor, at)
        value = descriptor[at : at + length]
        at += length
        if tag >> 3 == 1:
            name = value.decode()
        elif tag >> 3 == 3:
            imports.append(value.decode())
    return name, imports


def serialized(module):
    """The argument of the module's AddSerializedFile call, or None."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return ast.literal_eval(node.args[0])
    return None


def main(output, *folders):
    files = {}
    for folder in folders:
        for module in sorted(pathlib.Path(folder).rglob("*_pb2.py")):
            descriptor = serialized(module)
            if descriptor is not None:
                name, imports = name_and_imports(descriptor)
                files[name] = (descriptor, imports)
    written, out = set(), bytearray()

    def write(name):
        if name in written:
            return
        if name not in files:
            sys.exit(f"descriptors.py: {name} is imported but no wheel holds it")
        written.add(name)
        descriptor, imports = files[name]
        for dependency in imports:
            write(dependency)
        out.extend(b"\x0a" + varint(len(descriptor)) + descriptor)

    for name in sorted(files):
        write(name)
    pathlib.Path(output).write_bytes(out)


main(*sys.argv[1:])
