import { isObject } from "#api/json.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Validator } from "#api/validation.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { isInjected } from "./decision.ts";
import { injected, type InjectionContext } from "./inject.ts";
import { jsonPatch } from "./json-patch.ts";

/** Kubernetes' `admission.k8s.io/v1.AdmissionRequest`, as far as it is read. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly namespace?: string;
  readonly operation?: string;
  readonly object?: unknown;
  readonly oldObject?: unknown;
}

/** Kubernetes' `admission.k8s.io/v1.AdmissionResponse`. */
export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: { readonly message: string; readonly code: number; readonly reason: string };
  readonly patchType?: "JSONPatch";
  /** Base64 of a JSON patch. */
  readonly patch?: string;
  readonly warnings?: readonly string[];
}

const reviewVersion = "admission.k8s.io/v1";

/** The request of an AdmissionReview. @throws WeftError `InvalidArgument` for what is none. */
export function readReview(text: string): AdmissionRequest {
  let review: unknown;
  try {
    review = JSON.parse(text);
  } catch (error) {
    throw new WeftError("InvalidArgument", "the body is no JSON", error);
  }
  const request = isObject(review) ? review["request"] : undefined;
  if (!isObject(review) || !isObject(request) || typeof request["uid"] !== "string")
    throw new WeftError("InvalidArgument", "the body is no AdmissionReview with a request");
  if (review["apiVersion"] !== reviewVersion)
    throw new WeftError(
      "Unsupported",
      `AdmissionReviews of ${reviewVersion} are answered, not of ${String(review["apiVersion"])}`,
    );
  return request as unknown as AdmissionRequest;
}

/** The AdmissionReview that holds an answer. */
export function writeReview(response: AdmissionResponse): string {
  return JSON.stringify({ apiVersion: reviewVersion, kind: "AdmissionReview", response });
}

function refused({ uid }: AdmissionRequest, message: string): AdmissionResponse {
  return { uid, allowed: false, status: { message, code: 400, reason: "BadRequest" } };
}

/** @throws WeftError `InvalidArgument` for what is no part of an address. */
function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch (error) {
    throw new WeftError("InvalidArgument", "the path cannot be read", error);
  }
}

/** What the webhook's address says of the cluster that asks, as Istio has it: `/inject/cluster/east/net/network-1`. */
export function readPath(path: string): { readonly cluster?: string; readonly network?: string } {
  const words = path.split("/").slice(2).map(decoded);
  const after = (name: string): string | undefined => words[words.indexOf(name) + 1];
  const [cluster, network] = ["cluster", "net"].map((name) => (words.includes(name) ? after(name) : undefined));
  return { ...(cluster !== undefined && { cluster }), ...(network !== undefined && { network }) };
}

/** Gives what is to be injected into a Pod; it depends on the Pod how its proxy is started. */
export type ContextOf = (pod: Pod, namespace: string) => Omit<InjectionContext, "namespace">;

/** Answers whether, and what, is injected into a Pod that is being made. A Pod whose annotations are wrong is refused. */
export function reviewInjection(request: AdmissionRequest, contextOf: ContextOf): AdmissionResponse {
  const { uid, object, namespace: asked = "" } = request;
  if (!isObject(object) || !isObject(object["metadata"]) || !isObject(object["spec"]))
    return refused(request, "the request has no Pod");
  const pod = object as unknown as Pod;
  const namespace = pod.metadata.namespace ?? asked;
  try {
    const context = contextOf(pod, namespace);
    if (!isInjected(pod, namespace, context.settings)) return { uid, allowed: true };
    const operations = jsonPatch(pod, injected(pod, { ...context, namespace }));
    const patch = Buffer.from(JSON.stringify(operations)).toString("base64");
    return { uid, allowed: true, patchType: "JSONPatch", patch };
  } catch (error) {
    return refused(request, `the mesh's proxy cannot be injected: ${messageOf(error)}`);
  }
}

/** The kind of an object; undefined for one that is not known here. */
export type KindOf = (group: string, kind: string) => Kind | undefined;

/** Answers whether an object of Istio's is valid. What is deleted, and kinds that are not known here, are let be. */
export function reviewObject(request: AdmissionRequest, kindOf: KindOf, validator: Validator): AdmissionResponse {
  const { uid, object, oldObject, operation } = request;
  if (operation === "DELETE" || !isObject(object)) return { uid, allowed: true };
  const { apiVersion, kind: called, metadata } = object;
  if (typeof apiVersion !== "string" || typeof called !== "string" || !isObject(metadata))
    return refused(request, "the request's object has no apiVersion, kind or metadata");
  const submitted = object as unknown as ResourceObject;
  const [group = ""] = submitted.apiVersion.split("/");
  const kind = kindOf(group, submitted.kind);
  if (!kind) return { uid, allowed: true };
  const before = isObject(oldObject) ? { before: oldObject as unknown as ResourceObject } : {};
  const { errors, warnings, unknown } = validator.admit(kind, submitted, before);
  const told = [...warnings, ...unknown.map((field) => `unknown field "${field}"`)];
  if (errors.length === 0) return { uid, allowed: true, ...(told.length > 0 && { warnings: told }) };
  const name = `${submitted.kind} ${submitted.metadata.namespace ?? request.namespace ?? ""}/${submitted.metadata.name}`;
  const problems = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return refused(request, `${name} is not valid: ${problems}`);
}
