/** Whether a host name begins with a wildcard: `*`, `*.example.com`, `*-prod.example.com`. */
export function isWildcard(host: string): boolean {
  return host.startsWith("*");
}

/** Whether every name that `host` stands for is also one that `pattern` stands for. Both may be wildcards. */
export function hostMatches(pattern: string, host: string): boolean {
  if (!isWildcard(pattern)) return pattern === host;
  const suffix = pattern.slice(1);
  return (isWildcard(host) ? host.slice(1) : host).endsWith(suffix);
}

/** Whether one of two names, which may be wildcards, stands for all that the other stands for. */
export function hostsOverlap(a: string, b: string): boolean {
  return hostMatches(a, b) || hostMatches(b, a);
}
