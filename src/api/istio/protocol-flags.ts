import { boolean, object, type Value } from "../schema.ts";

/** Which protocols proxies understand that not every mesh wants. Istio has flags of its control plane for them. */
export const ProtocolFlags = object(
  "Which protocols proxies understand that not every mesh wants: what Istio has flags of its control plane for.",
  {},
  {
    http10: boolean("Answers HTTP/1.0 (PILOT_HTTP10). Off unless set: callers get 426."),
    http3: boolean(
      "Gateways listen for HTTP/3 beside each HTTPS server of mode SIMPLE whose Service has its port for UDP too, and tell callers so (PILOT_ENABLE_QUIC_LISTENERS). Off unless set.",
    ),
    mongo: boolean("Commands on ports named mongo are counted (PILOT_ENABLE_MONGO_FILTER). On unless set."),
    redis: boolean(
      "Commands on ports named redis go to the service's servers one by one, by their keys (PILOT_ENABLE_REDIS_FILTER). Off unless set: they are connections.",
    ),
  },
);
export type ProtocolFlags = Value<typeof ProtocolFlags>;
