import { expect, test } from "vitest";
import { messageType } from "#api/message-types.ts";
import type { ObjectRef, ResourceObject } from "#api/meta.ts";
import type { PlacedObject } from "../snapshot.ts";
import type { Message } from "./message.ts";
import { isAtLeast, parseSuppression, type Selection, selected } from "./selection.ts";

function message(name: string, resource: Partial<ObjectRef>, more: Partial<Message> = {}): Message {
  const ref = { group: "", kind: "Service", name: "x", namespace: "shop", ...resource };
  const type = messageType({ code: name, severity: "info", message: "", resource: ref });
  return { type, resource: ref, message: "m", ...more };
}

const odd = "PortNameIsNotUnderNamingConvention";
const position = { file: "f.yaml", line: 1, column: 1 };
const namespaced: Message = {
  ...message(odd, {}),
  resource: { group: "", kind: "Namespace", name: "shop" },
};
const all: readonly Message[] = [
  message(odd, {}),
  message(odd, { namespace: "bank" }),
  message(odd, { namespace: "bank", name: "y" }, { position }),
  namespaced,
  {
    type: messageType({
      code: "InvalidYAML",
      severity: "error",
      message: "",
      resource: { group: "", kind: "", name: "" },
    }),
    message: "m",
    position,
  },
];

function chosen(selection: Partial<Selection>, snapshot: readonly PlacedObject[] = []): readonly string[] {
  return selected(all, snapshot, { suppressions: [], ...selection }).map(({ resource }) =>
    resource ? `${resource.namespace ?? ""}/${resource.name}` : "-",
  );
}

test("of one namespace: its objects, the Namespace itself, and what stands in files", () => {
  expect(chosen({})).toEqual(["shop/x", "bank/x", "bank/y", "/shop", "-"]);
  expect(chosen({ namespace: "shop" })).toEqual(["shop/x", "bank/y", "/shop", "-"]);
  expect(chosen({ namespace: "bank" })).toEqual(["bank/x", "bank/y", "-"]);
});

test.each(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"])(
  "what is in %s is told of only where it is asked for",
  (namespace) => {
    const own = message(odd, { namespace });
    const space = message(odd, { kind: "Namespace", name: namespace });
    const { namespace: _, ...rest } = space.resource ?? {};
    const messages = [own, { ...space, resource: rest as ObjectRef }];
    expect(selected(messages, [], { suppressions: [] })).toEqual([]);
    expect(selected(messages, [], { suppressions: [], namespace: "shop" })).toEqual([]);
    expect(selected(messages, [], { suppressions: [], namespace })).toEqual(messages);
  },
);

test.each([
  ["IST0118=Service x.shop", ["bank/x", "bank/y", "/shop"]],
  ["IST0118=Service bank/*", ["shop/x", "/shop"]],
  ["IST0118=Service *.bank", ["shop/x", "/shop"]],
  ["IST0118=*", []],
  ["IST0118=Namespace shop", ["shop/x", "bank/x", "bank/y"]],
  ["IST0118=Service x", ["shop/x", "bank/x", "bank/y", "/shop"]],
  ["IST0119=*", ["shop/x", "bank/x", "bank/y", "/shop"]],
  ["IST0118=Service (x).shop", ["shop/x", "bank/x", "bank/y", "/shop"]],
])("%s leaves %j", (text, left) => {
  const suppression = parseSuppression(text);
  expect(chosen({ suppressions: suppression ? [suppression] : [] })).toEqual([...left, "-"]);
});

test.each([["IST0118"], ["=Service x"], ["IST0118="], ["a=b=c"]])("%s is no suppression", (text) =>
  expect(parseSuppression(text)).toBeUndefined(),
);

test.each([
  ["IST0118", false],
  ["IST0101, IST0118", false],
  ["*", false],
  ["IST0101", true],
])("an object annotated %s is told of: %s", (codes, isTold) => {
  const metadata = { name: "x", namespace: "shop", annotations: { "galley.istio.io/analyze-suppress": codes } };
  const object = { apiVersion: "v1", kind: "Service", metadata } as unknown as ResourceObject;
  expect(chosen({}, [{ object, cluster: "" }]).includes("shop/x")).toBe(isTold);
});

test("a level is at least another", () => {
  expect(isAtLeast(message(odd, {}), "Info")).toBe(true);
  expect(isAtLeast(message(odd, {}), "Warning")).toBe(false);
  expect(isAtLeast(message("UnknownGateway", { kind: "VirtualService" }), "Warning")).toBe(true);
});
