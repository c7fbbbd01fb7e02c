import { expect } from "vitest";
import { caseKinds, type ApplyCase } from "./case.ts";

/** An answer, as far as the cases look at it. */
export interface CaseAnswer {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- a test asserts what it reads.
  readonly json: any;
}

/** Sends a request to the server that is asked. */
export type CaseClient = (method: string, path: string, type: string, body: unknown) => Promise<CaseAnswer>;

type Step = ApplyCase["steps"][number];

const types = {
  apply: "application/apply-patch+yaml",
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  update: "application/json",
  create: "application/json",
} as const;
const methods = { apply: "PATCH", merge: "PATCH", json: "PATCH", update: "PUT", create: "POST" } as const;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Members of a change put into an object; null takes one away. */
function changed(object: unknown, change: unknown): unknown {
  if (!isObject(change)) return change;
  const members = new Map(Object.entries(isObject(object) ? object : {}));
  for (const [name, value] of Object.entries(change)) {
    if (value === null) members.delete(name);
    else members.set(name, changed(members.get(name), value));
  }
  return Object.fromEntries(members);
}

function withName(body: unknown, name: string): unknown {
  return JSON.parse(JSON.stringify(body).replaceAll("NAME", name));
}

/** One object of a server, to which a case's steps are done. */
class Subject {
  readonly #client: CaseClient;
  readonly #case: ApplyCase;
  readonly #name: string;
  readonly #namespace: string;

  constructor(client: CaseClient, row: ApplyCase, namespace: string, name: string) {
    this.#client = client;
    this.#case = row;
    this.#name = name;
    this.#namespace = namespace;
  }

  #collection(version: string): string {
    const { root, group, plural } = caseKinds[this.#case.kind];
    const base = group === "" ? `${root}/${version}` : `${root}/${group}/${version}`;
    return `${base}/namespaces/${this.#namespace}/${plural}`;
  }

  #typed(body: unknown, version: string): unknown {
    const { group } = caseKinds[this.#case.kind];
    const head = { apiVersion: group === "" ? version : `${group}/${version}`, kind: this.#case.kind };
    return changed({ ...head, metadata: { name: this.#name } }, body);
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- as above.
  async read(): Promise<any> {
    const [version] = caseKinds[this.#case.kind].versions;
    const { status, json } = await this.#client("GET", `${this.#collection(version)}/${this.#name}`, "", undefined);
    return status === 404 ? undefined : json;
  }

  async #bodyOf(step: Step, version: string): Promise<unknown> {
    const body = withName(step.body, this.#name);
    if (step.do === "update") return changed(await this.read(), body);
    return step.do === "merge" || step.do === "json" ? body : this.#typed(body, version);
  }

  async done(step: Step): Promise<CaseAnswer> {
    const version = step.version ?? caseKinds[this.#case.kind].versions[0];
    const query = new URLSearchParams({
      ...(step.by === "" ? {} : { fieldManager: step.by }),
      ...(step.force === true ? { force: "true" } : {}),
      ...(step.dryRun === true ? { dryRun: "All" } : {}),
    });
    const within = step.subresource === undefined ? "" : `/${step.subresource}`;
    const place = step.do === "create" ? "" : `/${this.#name}${within}`;
    const path = `${this.#collection(version)}${place}?${query.toString()}`;
    return this.#client(methods[step.do], path, types[step.do], await this.#bodyOf(step, version));
  }
}

function conflictsIn(json: { details?: { causes?: readonly { field: string; message: string }[] } }): string[] {
  return (json.details?.causes ?? []).map(({ field, message }) => `${field} ${message}`).toSorted();
}

/** Fields that a set has, one a line: sets are the same where these are. */
function linesOf(set: object, above = ""): string[] {
  return Object.entries(set).flatMap(([element, below]) => {
    const path = element === "." ? above : `${above}/${element}`;
    const empty = Object.keys(below as object).length === 0;
    return [...(empty ? [path] : []), ...linesOf(below as object, path)];
  });
}

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly subresource?: string;
  readonly fieldsV1: object;
}

function ownersIn({ metadata }: { readonly metadata: { readonly managedFields?: readonly Entry[] } }): object {
  return Object.fromEntries(
    (metadata.managedFields ?? []).map(({ manager, operation, subresource, fieldsV1 }) => [
      [manager, operation, subresource].filter((text) => text !== undefined).join(" "),
      linesOf(fieldsV1).toSorted(),
    ]),
  );
}

async function expectStep(subject: Subject, step: Step): Promise<void> {
  const before = await subject.read();
  const { status, json } = await subject.done(step);
  const expected = step.status ?? (before === undefined ? 201 : 200);
  // What a server says of its own fault is the client's here.
  expect([status === 400 && expected === 500 ? 500 : status, json.message ?? ""]).toEqual([
    expected,
    step.says === undefined ? expect.any(String) : expect.stringContaining(step.says),
  ]);
  if (step.conflicts !== undefined) expect(conflictsIn(json)).toEqual([...step.conflicts]);
  if (step.idle === true || status >= 400) {
    expect((await subject.read()).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  }
}

/** The owners that a case leaves, as `runApplyCase` gives those that it found. */
export function ownersOf({ owners }: ApplyCase): object {
  return Object.fromEntries(Object.entries(owners).map(([who, set]) => [who, linesOf(set).toSorted()]));
}

/** Does what a case says, and expects of each step what it says; gives the object that is left and who owns its fields. */
export async function runApplyCase(
  client: CaseClient,
  row: ApplyCase,
  namespace: string,
  name: string,
): Promise<{ readonly object: unknown; readonly owners: object }> {
  const subject = new Subject(client, row, namespace, name);
  for (const step of row.steps) await expectStep(subject, step);
  const object = await subject.read();
  return { object, owners: ownersIn(object) };
}
