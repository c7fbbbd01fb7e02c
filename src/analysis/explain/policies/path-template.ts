/** A template of paths as Envoy has it, `*` for a segment and `**` for any rest, as an expression of the whole path. */
export function templateExpression(template: string): string {
  const parts = template.split(/(\*{1,2})/).map((part) => {
    if (part === "**") return ".*";
    return part === "*" ? "[^/]+" : RegExp.escape(part);
  });
  return `^${parts.join("")}$`;
}
