/** Whether a text is meant as the address of an etcd (`etcds://HOST:2379/PREFIX`). */
export function isEtcdAddress(text: string): boolean {
  return /^etcds?:\/\//.test(text);
}
