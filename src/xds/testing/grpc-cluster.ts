const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/**
 * The cluster of a bootstrap (`envoy.config.cluster.v3.Cluster`) by which a test's Envoy reaches a gRPC server.
 * @param address `envoy.config.core.v3.Address`.
 */
export function grpcCluster(name: string, address: object): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    typed_extension_protocol_options: {
      [httpOptions]: {
        "@type": `type.googleapis.com/${httpOptions}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
