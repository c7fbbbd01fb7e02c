import type { Registry } from "@bufbuild/protobuf";
import type { TransportSocket } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { type Lists, mergeAny } from "#proto/merge.ts";
import type { Patch } from "./patch.ts";

/** What a merging operation does with lists. */
export function listsOf(operation: Patch["operation"]): Lists {
  return operation === "MERGE_AND_REPLACE_LIST" ? "replace" : "append";
}

/**
 * Merges the configuration of a transport socket with that of a patch, where both have one of the same name.
 * @returns whether they have; as in Istio nothing else of the patch counts then.
 */
export function mergeSocket(
  socket: TransportSocket | undefined,
  wanted: TransportSocket | undefined,
  registry: Registry,
): boolean {
  if (!socket || !wanted || socket.name !== wanted.name) return false;
  const [into, from] = [socket.configType, wanted.configType];
  if (into.case === "typedConfig" && from.case === "typedConfig") {
    into.value = mergeAny(into.value, from.value, registry);
  }
  return true;
}
