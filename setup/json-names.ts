import { type DescriptorProto, type FieldDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";

function name(fields: readonly FieldDescriptorProto[]): void {
  for (const field of fields) field.jsonName ||= protoCamelCase(field.name);
}

function nameAll(messages: readonly DescriptorProto[]): void {
  for (const { field, extension, nestedType } of messages) {
    name(field);
    name(extension);
    nameAll(nestedType);
  }
}

/**
 * A serialized FileDescriptorSet with the JSON names of all fields, which Python's compiled descriptors leave out and
 * readers at run time need.
 */
export function withJsonNames(descriptors: Uint8Array): Uint8Array {
  const set = fromBinary(FileDescriptorSetSchema, descriptors);
  for (const { extension, messageType } of set.file) {
    name(extension);
    nameAll(messageType);
  }
  return toBinary(FileDescriptorSetSchema, set);
}
