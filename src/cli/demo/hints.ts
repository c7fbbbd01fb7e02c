import type { Layout } from "./layout.ts";
import type { DemoInfo } from "./status.ts";
import type { Kept } from "./teardown.ts";

/** Addresses of Pods by the name of their service; those that are not known are absent. */
export type PodAddresses = Readonly<Record<string, string>>;

/** Services that the hints call: one in the mesh, and one without a sidecar. */
export const calledFromOutside: readonly string[] = ["details", "legacy"];

/** Where everything is, and some commands worth trying. */
export function welcome({ gateway, kubeconfigs, outsideNamespace }: DemoInfo, addresses: PodAddresses): string {
  const fromOutside = calledFromOutside.map((service) => {
    const address = addresses[service] ?? `POD-OF-${service.toUpperCase()}`;
    return `     ip netns exec ${outsideNamespace} curl -sS http://${address}:9080/details/emma`;
  });
  return `
The bookshop is at ${gateway}

  kubeconfigs   mesh ${kubeconfigs.mesh}
                east ${kubeconfigs.east}
                west ${kubeconfigs.west}
  outside       the network namespace ${outsideNamespace} reaches every Pod and is not of the mesh

Worth trying (./weft get and apply serve where kubectl is absent):

  1. see which version of reviews answers, again and again
     curl -s ${gateway}/api/page
  2. send everybody to version 3, through either cluster
     kubectl --kubeconfig ${kubeconfigs.west} apply -f samples/bookshop/rules/reviews-v3.yaml
  3. see that every proxy has it
     ./weft proxy-status
  4. look into a proxy: what does the page's Envoy know about reviews?
     ./weft proxy-config routes page
  5. scale reviews in one cluster and watch
     kubectl --kubeconfig ${kubeconfigs.east} -n shop scale deployment reviews-v1 --replicas 3
  6. call as a stranger: details takes mutual TLS alone, legacy has no sidecar and answers
${fromOutside.join("\n")}
  7. let details refuse the page, and look at the page
     kubectl --kubeconfig ${kubeconfigs.east} apply -f samples/bookshop/rules/details-refuse-page.yaml
  8. see who wrote it, and when
     ./weft history authorizationpolicy/details -n shop
  9. watch what every proxy uses and does, the busiest first
     ./weft sidecar top --sort requests
 10. begin the Envoys of a service anew while they serve, and see how each went
     ./weft sidecar upgrade try -n shop -w reviews-v1 --renew now --waves 100 --pause 1s
`;
}

/** What is left, in the end. */
export function goodbye(layout: Layout, kept: Kept): string {
  if (kept === "nothing") return "the demo is gone, with everything it made";
  return kept === "all"
    ? `the demo is gone; its state stays in ${layout.state}`
    : `the demo is gone; its logs stay in ${layout.logs} until the next one`;
}

/** How a demonstration is ended from elsewhere. */
export function howToEnd({ name }: Layout): string {
  return name === "demo" ? "make demo ARGS=--stop" : `make demo ARGS="--stop --name ${name}"`;
}
