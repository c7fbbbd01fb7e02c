/**
 * Lint rules for the rooms of `src/`: who may import whom (`rooms.json`), and what only a composition root or
 * `base` may touch (the environment, timers, the clock).
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..", "..");
const { rooms } = JSON.parse(readFileSync(join(root, "rooms.json"), "utf8"));

/** The room that a file stands in, or undefined outside `src/`. */
function roomOf(file) {
  const [top, room, ...rest] = relative(root, file).split("/");
  return top === "src" && rest.length > 0 ? room : undefined;
}

function refusal(from, specifier, file) {
  const rules = rooms[from];
  if (!rules) return `room '${from}' is not in rooms.json: add it with its purpose and what it may import`;
  if (specifier.startsWith(".")) {
    const target = roomOf(resolve(dirname(file), specifier));
    return target === from ? undefined : `a relative import must stay in its room: write '#room/file.ts'`;
  }
  if (!specifier.startsWith("#")) return undefined;
  const [to, ...path] = specifier.slice(1).split("/");
  if (!rooms[to]) return `there is no room '${to}'`;
  if (to === from || rules.may.includes("*") || rules.may.includes(to)) return undefined;
  const port = rules.may.includes(`${to}:port`);
  if (port && path.join("/") === "port.ts") return undefined;
  const allowed = rules.may.length > 0 ? rules.may.join(", ") : "nothing";
  return port
    ? `'${from}' may import only the port of '${to}' (#${to}/port.ts)`
    : `'${from}' may not import '${to}'; it may import: ${allowed} (rooms.json)`;
}

const imports = {
  create(context) {
    const from = roomOf(context.filename);
    if (!from) return {};
    const check = (node) => {
      const specifier = node.source?.value;
      if (typeof specifier !== "string") return;
      const message = refusal(from, specifier, context.filename);
      if (message) context.report({ node: node.source, message });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: (node) => {
        if (!node.source) return;
        check(node);
        context.report({ node, message: "no re-exports: import from the file that defines it" });
      },
      ExportAllDeclaration: (node) =>
        context.report({ node, message: "no re-exports: import from the file that defines it" }),
    };
  },
};

const timers = new Set(["setTimeout", "setInterval"]);

const ambient = {
  create(context) {
    const room = roomOf(context.filename);
    const test = /\.test\.ts$|\/testing\//.test(context.filename);
    if (!room || test || room === "base" || rooms[room]?.root) return {};
    return {
      CallExpression(node) {
        const callee = node.callee;
        if (callee.type === "Identifier" && timers.has(callee.name)) {
          context.report({
            node,
            message: `${callee.name} stands only in 'base' and composition roots: use base's clock`,
          });
        }
      },
      MemberExpression(node) {
        if (node.object.type !== "Identifier" || node.property.type !== "Identifier") return;
        const name = `${node.object.name}.${node.property.name}`;
        if (name === "process.env")
          context.report({ node, message: "the environment is read only in composition roots: pass the value down" });
        if (name === "Date.now") context.report({ node, message: "time comes from base's clock: pass a Clock down" });
      },
      "Program > VariableDeclaration[kind='let']"(node) {
        context.report({ node, message: "no mutable state at module level" });
      },
    };
  },
};

export default { meta: { name: "rooms" }, rules: { imports, ambient } };
