import type { Pod } from "#api/kubernetes/pod.ts";

/** The address under which Pods know their name server; the proxy's capture leads it to the agent. Proxies have another. */
export const dnsAddress = "169.254.20.10";

/** The domains in which a Pod's short names are looked up, as in Kubernetes. */
function searchDomains(namespace: string, clusterDomain: string): readonly string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

/** A Pod's `/etc/resolv.conf`. */
export function resolvConf(pod: Pod, clusterDomain: string): string {
  const { dnsPolicy, dnsConfig = {} } = pod.spec;
  const own = dnsPolicy === "None";
  const servers = [...(own ? [] : [dnsAddress]), ...(dnsConfig.nameservers ?? [])];
  const searches = [
    ...(own ? [] : searchDomains(pod.metadata.namespace ?? "", clusterDomain)),
    ...(dnsConfig.searches ?? []),
  ];
  const options = new Map(own ? [] : [["ndots", "5"]]);
  for (const { name = "", value = "" } of dnsConfig.options ?? []) options.set(name, value);
  const words = [...options].map(([name, value]) => (value === "" ? name : `${name}:${value}`));
  return [
    ...(searches.length > 0 ? [`search ${searches.join(" ")}`] : []),
    ...servers.map((server) => `nameserver ${server}`),
    ...(words.length > 0 ? [`options ${words.join(" ")}`] : []),
    "",
  ].join("\n");
}

/** A Pod's host name: its own, or its name, cut to what the kernel takes. */
export function hostName(pod: Pod): string {
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63);
}

/** A Pod's `/etc/hosts`, as a kubelet writes it. */
export function hostsFile(pod: Pod, address: string, clusterDomain: string): string {
  const { hostname, subdomain, hostAliases = [] } = pod.spec;
  const name = hostName(pod);
  const full =
    hostname !== undefined && subdomain !== undefined
      ? [`${name}.${subdomain}.${pod.metadata.namespace ?? ""}.svc.${clusterDomain}`]
      : [];
  return [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
    `${address}\t${[...full, name].join(" ")}`,
    ...hostAliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join(" ")}`),
    "",
  ].join("\n");
}
