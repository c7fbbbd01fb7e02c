import type { FieldError } from "../kind.ts";
import { duplicate, type FieldPath, forbidden, notSupported, required } from "../field.ts";
import type { Listener } from "./listener.ts";

/** Checks a listener by itself. */
function* validateListener({ protocol, tls, hostname }: Listener, path: FieldPath): Generator<FieldError> {
  if (tls !== undefined && ["HTTP", "TCP", "UDP"].includes(protocol)) {
    yield forbidden(path.field("tls"), `not with the protocol ${protocol}`);
  }
  if (protocol === "HTTPS" && tls?.mode === "Passthrough") {
    yield notSupported(path.field("tls", "mode"), tls.mode, ["Terminate"]);
  }
  if (protocol === "TLS" && tls === undefined) yield required(path.field("tls"), "with the protocol TLS");
  if (hostname !== undefined && (protocol === "TCP" || protocol === "UDP")) {
    yield forbidden(path.field("hostname"), `not with the protocol ${protocol}`);
  }
  const certificates = (tls?.certificateRefs ?? []).length + Object.keys(tls?.options ?? {}).length;
  if (tls?.mode === "Terminate" && certificates === 0) {
    yield required(path.field("tls", "certificateRefs"), "certificateRefs or options, where TLS is terminated");
  }
}

/** Checks the listeners of a Gateway or a ListenerSet as the CRD does. */
export function* validateListeners(listeners: readonly Listener[], path: FieldPath): Generator<FieldError> {
  const names = new Set<string>();
  const places = new Set<string>();
  for (const [index, listener] of listeners.entries()) {
    const at = path.item(index);
    yield* validateListener(listener, at);
    const { name, port, protocol, hostname = "" } = listener;
    if (names.has(name)) yield duplicate(at.field("name"), name);
    names.add(name);
    const place = [port, protocol, hostname].join(" ").trim();
    if (places.has(place)) yield duplicate(at, place);
    places.add(place);
  }
}
