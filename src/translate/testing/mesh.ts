import { parseAllDocuments } from "yaml";
import { type JsonObject, fromBinary, toJson } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Engine } from "#incremental/engine.ts";
import { createModel, type Model } from "#model/model.ts";
import type { MeshInput } from "#model/mesh.ts";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { loadRegistry } from "#proto/registry.ts";
import type { NodeInfo } from "../proxy-class.ts";
import { createTranslator, type Translator } from "../translator.ts";

const registry = loadRegistry();

/** A mesh that a test has made. */
export interface TestMesh {
  readonly engine: Engine;
  readonly model: Model;
  readonly translator: Translator;
}

/** An empty mesh. */
export function emptyMesh(): TestMesh {
  const engine = new Engine();
  const model = createModel(engine);
  return { engine, model, translator: createTranslator(engine, model, { registry }) };
}

/** A document of a case's input. */
interface CaseDocument {
  readonly proxy?: Partial<NodeInfo> & Pick<NodeInfo, "id">;
  readonly mesh?: MeshInput;
  readonly clusters?: readonly { readonly name: string; readonly network: string }[];
  readonly cluster?: string;
  readonly objects?: readonly ObjectInput[];
}

/** A mesh from the documents of a YAML text, and the proxy that it names. */
export function meshOf(text: string): TestMesh & { readonly node: NodeInfo } {
  const documents = parseAllDocuments(text).map((document) => document.toJS() as CaseDocument);
  const mesh = emptyMesh();
  const { inputs } = mesh.model;
  mesh.engine.change(() => {
    for (const document of documents) {
      if (document.mesh) inputs.setMesh(document.mesh);
      for (const { name, network } of document.clusters ?? []) inputs.putCluster(name, network);
      for (const object of document.objects ?? []) inputs.put(complete(object), document.cluster);
    }
  });
  const proxy = documents.find((document) => document.proxy)?.proxy;
  if (!proxy) throw new Error("the case names no proxy");
  return { ...mesh, node: { metadata: {}, locality: { region: "", zone: "", subzone: "" }, ...proxy } };
}

/** A resource as JSON. */
export function resourceJson({ any }: EncodedResource): JsonObject {
  return toJson(AnySchema, fromBinary(AnySchema, any), { registry }) as JsonObject;
}
