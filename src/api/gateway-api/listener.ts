import { Condition, LabelSelector } from "../kubernetes/meta.ts";
import { choice, int32, keyedList, list, object, string, type Value } from "../schema.ts";
import {
  fromNamespaces,
  hostname,
  options,
  port,
  RouteGroupKind,
  SecretObjectReference,
  sectionName,
} from "./names.ts";

const AllowedRoutes = object(
  "Which routes may be attached.",
  {
    namespaces: object(
      "Of which namespaces.",
      { from: fromNamespaces(["All", "Selector", "Same"], "Same") },
      { selector: LabelSelector },
      { default: { from: "Same" } },
    ),
  },
  { kinds: list("Of which kinds. What fits the protocol unless set.", RouteGroupKind, { maxItems: 8 }) },
  { default: { namespaces: { from: "Same" } } },
);

/** A listener of a Gateway or a ListenerSet. */
export const Listener = object(
  "A port that is listened on, and the host that is served there.",
  {
    name: sectionName("The listener's name, to which routes refer."),
    port,
    protocol: string("What is spoken: HTTP, HTTPS, TLS, TCP or UDP, or a protocol of an implementation's own.", {
      minLength: 1,
      maxLength: 255,
      pattern:
        "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9]+$",
    }),
    allowedRoutes: AllowedRoutes,
  },
  {
    hostname: hostname("The host. All unless set."),
    tls: object(
      "How TLS is dealt with.",
      { mode: choice("Terminate it, or pass it on.", ["Terminate", "Passthrough"], { default: "Terminate" }) },
      {
        certificateRefs: list("Secrets with certificates and keys.", SecretObjectReference, { maxItems: 64 }),
        options,
      },
    ),
  },
);
export type Listener = Value<typeof Listener>;

/** The status of the listeners of a Gateway or a ListenerSet. */
export const listenerStatuses = keyedList(
  "The listeners' states.",
  object(
    "A listener's state.",
    {
      name: sectionName("The listener's name."),
      attachedRoutes: int32("How many routes are attached."),
      conditions: keyedList("The listener's state, by aspect.", Condition, ["type"], { maxItems: 8 }),
    },
    { supportedKinds: list("Kinds of routes that the listener takes.", RouteGroupKind, { maxItems: 8 }) },
  ),
  ["name"],
  { maxItems: 64 },
);
