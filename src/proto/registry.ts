import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createFileRegistry, createRegistry, fromBinary, type Registry } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { NameTableSchema } from "./gen/istio/networking/nds/v1/nds_pb.js";

/**
 * Every message of Envoy's API and of the few of Istio's, for reading and writing `Any` as JSON and for looking at
 * messages by reflection. Read from the descriptors that the code was generated from; takes a fraction of a second, so a
 * process makes one and hands it on.
 */
export function loadRegistry(): Registry {
  const bytes = readFileSync(join(import.meta.dirname, "gen", "descriptors.binpb"));
  return createRegistry(createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes)), NameTableSchema);
}
