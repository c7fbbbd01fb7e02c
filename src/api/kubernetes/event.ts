import { formatAge } from "#base/duration.ts";
import type { Column, FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { FieldPath, invalid } from "../field.ts";
import { described, int32, object, string, time, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { ObjectReference } from "./meta.ts";

const description = "Something that happened to an object. Events are for people and go after a while.";

const schema = object(
  description,
  { involvedObject: described("What it happened to.", ObjectReference) },
  {
    reason: string("What happened, as one word in upper camel case."),
    message: string("What happened, for people."),
    type: string("Normal or Warning."),
    count: int32("How often it happened."),
    firstTimestamp: time("When it happened first."),
    lastTimestamp: time("When it happened last."),
    eventTime: time("When it happened first, to the microsecond."),
    series: object(
      "That it goes on happening.",
      {},
      { count: int32("How often it happened."), lastObservedTime: time("When it happened last.") },
    ),
    source: object("Who tells.", {}, { component: string("The program."), host: string("Its node.") }),
    reportingComponent: string("The program that tells.", { default: "" }),
    reportingInstance: string("Which process of it.", { default: "" }),
    action: string("What was done, as one word."),
    related: described("Another object that has to do with it.", ObjectReference),
  },
);

/** Kubernetes' `core/v1.Event`. */
export type Event = Resource<Value<typeof schema>>;

function age(at: string | undefined, now: number | undefined): string {
  if (at === undefined || now === undefined) return "<unknown>";
  return formatAge(now - Date.parse(at));
}

function lastSeen(event: Event, now: number | undefined): string {
  const { series, lastTimestamp, firstTimestamp, eventTime } = event;
  if (series?.lastObservedTime === undefined) return age(lastTimestamp ?? firstTimestamp ?? eventTime, now);
  return `${age(series.lastObservedTime, now)} (x${series.count ?? 1} over ${age(eventTime ?? firstTimestamp, now)})`;
}

function objectText({ involvedObject: { kind = "", name = "" } }: Event): string {
  return `${kind.toLowerCase()}/${name}`;
}

function source({ source, reportingComponent, reportingInstance }: Event): string {
  const component = source?.component || reportingComponent || "";
  const host = source?.host || reportingInstance || "";
  return host === "" ? component : `${component}, ${host}`;
}

function column(
  name: string,
  description: string,
  cell: (event: Event, now: number | undefined) => string,
  wide = false,
): Column {
  return { name, type: "string", wide, description, cell: (object, now) => cell(object as Event, now) };
}

/** Where events of objects stand that have no namespace. */
const clusterWide = new Set(["default", "kube-system"]);

/** An event stands beside the object that it is about. */
function* validateEvent({ metadata, involvedObject }: Event): Generator<FieldError> {
  const { namespace = "" } = involvedObject;
  const own = metadata.namespace ?? "";
  if (namespace === "" ? clusterWide.has(own) : namespace === own) return;
  yield invalid(FieldPath.root.field("involvedObject", "namespace"), namespace, "does not match event.namespace");
}

export const event: Kind = kubernetesKind({
  kind: "Event",
  plural: "events",
  shortNames: ["ev"],
  // The mesh's own objects have events too.
  home: "both",
  description,
  schema,
  unnamedTable: true,
  columns: [
    column("Last Seen", "How long ago it happened last.", lastSeen),
    column("Type", "Normal or Warning.", ({ type = "" }) => type),
    column("Reason", "What happened, in one word.", ({ reason = "" }) => reason),
    column("Object", "What it happened to.", objectText),
    column("Subobject", "The part that it happened to.", ({ involvedObject }) => involvedObject.fieldPath ?? "", true),
    column("Source", "Who tells.", source, true),
    column("Message", "What happened.", ({ message = "" }) => message.trim()),
    column(
      "First Seen",
      "How long ago it happened first.",
      ({ firstTimestamp, eventTime }, now) => age(firstTimestamp ?? eventTime, now),
      true,
    ),
    column("Count", "How often it happened.", ({ count, series }) => String(count ?? series?.count ?? 1), true),
    column("Name", "The event's name.", ({ metadata }) => metadata.name, true),
  ],
  status: false,
  validate: (object) => [...validateEvent(object as Event)],
});
