/** By what the kernel's programs of a node are known: instances of others have no underlines in their names. */
export function hijackName(node: string): string {
  return `node_${node}`;
}
