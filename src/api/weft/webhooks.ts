/** On a webhook configuration of Istio's objects: these are taken while no control plane answers, however often one has answered before. */
export const failsOpen = { annotation: "mesh.weft.dev/fails-open", value: "true" } as const;
