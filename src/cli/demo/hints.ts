import type { Layout } from "./layout.ts";
import type { DemoInfo } from "./status.ts";
import type { Kept } from "./teardown.ts";

/** Where everything is, and five commands worth trying. */
export function welcome({ gateway, kubeconfigs }: DemoInfo): string {
  return `
The bookshop is at ${gateway}

  kubeconfigs   mesh ${kubeconfigs.mesh}
                east ${kubeconfigs.east}
                west ${kubeconfigs.west}

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
`;
}

/** What is left, in the end. */
export function goodbye(layout: Layout, kept: Kept): string {
  if (kept === "nothing") return "the demo is gone, with everything it made";
  return kept === "all"
    ? `the demo is gone; its state stays in ${layout.state}`
    : `the demo is gone; its logs stay in ${layout.logs} until the next one`;
}
