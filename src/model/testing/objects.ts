import { parseAllDocuments } from "yaml";
import type { ResourceObject } from "#api/meta.ts";
import { Engine } from "#incremental/engine.ts";
import { createModel, type Model } from "../model.ts";

/** An object as tests write it: what the API server would fill in may be absent. */
export interface ObjectInput {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [member: string]: unknown };
  readonly [member: string]: unknown;
}

const networkingKinds = new Set([
  "VirtualService",
  "DestinationRule",
  "Gateway",
  "ServiceEntry",
  "Sidecar",
  "WorkloadEntry",
]);

/** An object with what the API server fills in. */
export function complete(input: ObjectInput): ResourceObject {
  const { metadata, ...body } = input;
  return {
    apiVersion: networkingKinds.has(input.kind) ? "networking.istio.io/v1" : "v1",
    ...body,
    metadata: {
      uid: `${input.kind}/${metadata.namespace ?? ""}/${metadata.name}`,
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...metadata,
    },
  };
}

/** Puts the objects of a YAML text into a model. A document with a member `cluster` stands for what that cluster has. */
export function putYaml({ inputs }: Model, text: string): void {
  for (const document of parseAllDocuments(text)) {
    const { cluster = "", ...object } = document.toJS() as ObjectInput & { readonly cluster?: string };
    inputs.put(complete(object), cluster);
  }
}

/** A model of the objects of a YAML text, with the clusters `east` and `west`. */
export function modelOf(text: string): Model {
  const model = createModel(new Engine());
  model.inputs.putCluster("east", "main");
  model.inputs.putCluster("west", "main");
  putYaml(model, text);
  return model;
}
