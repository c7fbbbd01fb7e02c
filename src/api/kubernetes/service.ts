import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import {
  boolean,
  choice,
  definition,
  int32,
  intOrString,
  list,
  map,
  mergeList,
  object,
  port,
  string,
  type Value,
} from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { Condition, coreName, protocols } from "./meta.ts";
import { serviceColumns } from "./service-columns.ts";
import { completeService } from "./service-defaults.ts";
import { validateService, validateServiceUpdate } from "./service-validation.ts";

/** Kubernetes' `core/v1.ServicePort`. */
export const ServicePort = definition(
  coreName("ServicePort"),
  object(
    "A port of the Service.",
    {
      port: port("The port's number."),
      protocol: choice("The transport protocol.", protocols, { default: "TCP" }),
    },
    {
      name: string("The port's name, needed where there are several; the mesh takes the protocol from how it begins."),
      appProtocol: string("What is spoken on the port, such as http, grpc or kubernetes.io/h2c."),
      targetPort: intOrString(
        "The Pods' port: its number, or the name of one of their containers' ports. The same number unless set.",
      ),
      nodePort: int32("The nodes' port, for NodePort and LoadBalancer."),
    },
  ),
);
export type ServicePort = Value<typeof ServicePort>;

/** Kubernetes' `core/v1.ServiceSpec`. */
export const ServiceSpec = definition(
  coreName("ServiceSpec"),
  object(
    "Which Pods the Service stands for, and how it is reached.",
    {
      type: choice("How the Service is reached.", ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"], {
        default: "ClusterIP",
      }),
      sessionAffinity: choice("Whether a caller stays with one Pod.", ["None", "ClientIP"], { default: "None" }),
    },
    {
      ports: mergeList("The Service's ports.", ServicePort, "port", { keys: ["port", "protocol"] }),
      selector: map("Labels of the Pods, all of them.", string("The label's value.")),
      clusterIP: string("The Service's address, given by the server; None for a headless Service."),
      clusterIPs: list("The Service's addresses, one of each family.", string("An address, or None.")),
      externalIPs: list("More addresses that lead to the Service.", string("An address.")),
      externalName: string("The DNS name that an ExternalName Service stands for."),
      loadBalancerIP: string("Deprecated: the load balancer's address."),
      loadBalancerSourceRanges: list("Networks that may call the load balancer.", string("A network in CIDR form.")),
      loadBalancerClass: string("Which implementation makes the load balancer."),
      allocateLoadBalancerNodePorts: boolean("Whether a LoadBalancer gets ports of the nodes."),
      externalTrafficPolicy: choice("Whether traffic from outside stays on the node.", ["Cluster", "Local"]),
      internalTrafficPolicy: choice("Whether traffic from inside stays on the node.", ["Cluster", "Local"]),
      healthCheckNodePort: int32("The nodes' port for health checks, with externalTrafficPolicy Local."),
      publishNotReadyAddresses: boolean("Whether Pods that are not ready count too."),
      sessionAffinityConfig: object(
        "Settings of sessionAffinity.",
        {},
        {
          clientIP: object(
            "Settings of ClientIP.",
            {},
            {
              timeoutSeconds: int32("How long a caller stays with a Pod. 10800 unless set.", {
                minimum: 1,
                maximum: 86400,
              }),
            },
          ),
        },
      ),
      ipFamilies: list("Address families.", choice("A family.", ["IPv4", "IPv6"])),
      ipFamilyPolicy: choice("How many families.", ["SingleStack", "PreferDualStack", "RequireDualStack"]),
      trafficDistribution: string("Which endpoints are preferred: PreferSameZone, PreferSameNode or PreferClose."),
    },
  ),
);
export type ServiceSpec = Value<typeof ServiceSpec>;

const ServiceStatus = definition(
  coreName("ServiceStatus"),
  object(
    "How the Service is.",
    {},
    {
      loadBalancer: object(
        "How the load balancer is.",
        {},
        {
          ingress: list(
            "Where the load balancer is reached.",
            object(
              "An address.",
              {},
              {
                ip: string("An IP address."),
                hostname: string("A DNS name."),
                ipMode: string("VIP or Proxy."),
                ports: list(
                  "How its ports are.",
                  object(
                    "A port.",
                    { port: int32("Its number."), protocol: string("Its protocol.") },
                    { error: string("What is wrong with it.") },
                  ),
                ),
              },
            ),
          ),
        },
      ),
      conditions: mergeList("The Service's state, by aspect.", Condition, "type"),
    },
  ),
);
type ServiceStatus = Value<typeof ServiceStatus>;

/** Kubernetes' `core/v1.Service`. */
export type Service = Resource<{ readonly spec: ServiceSpec; readonly status?: ServiceStatus }>;

const description = "A name and address for some Pods.";

export const service: Kind = kubernetesKind({
  kind: "Service",
  plural: "services",
  shortNames: ["svc"],
  categories: ["all"],
  nameForm: "letterLabel",
  description,
  schema: object(description, { spec: ServiceSpec }, { status: ServiceStatus }),
  columns: serviceColumns,
  status: true,
  complete: completeService,
  validate: (object) => [...validateService(object as Service)],
  validateUpdate: (object, before) => [...validateServiceUpdate(object as Service, before as Service)],
});
