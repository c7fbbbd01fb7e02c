import {
  choice,
  definition,
  described,
  int32,
  int64,
  intOrString,
  list,
  object,
  port,
  string,
  type Value,
} from "../schema.ts";
import { coreName } from "./meta.ts";

const ExecAction = object(
  "Run a command in the container; status 0 is a success.",
  {},
  { command: list("Program and arguments; no shell.", string("A word of the command.")) },
);

const HTTPGetAction = object(
  "Ask by HTTP; 200 to 399 is a success.",
  {
    port: intOrString("The port's number, or the name of one of the container's ports."),
    path: string("The path to ask for.", { default: "/" }),
    scheme: choice("HTTP or HTTPS.", ["HTTP", "HTTPS"], { default: "HTTP" }),
  },
  {
    host: string("The host to connect to. The Pod's address unless set."),
    httpHeaders: list(
      "More headers of the request.",
      object("A header.", { name: string("The header's name."), value: string("Its value.") }, {}),
    ),
  },
);

const TCPSocketAction = object(
  "Connect by TCP.",
  { port: intOrString("The port's number, or the name of one of the container's ports.") },
  { host: string("The host to connect to. The Pod's address unless set.") },
);

const handlers = ["exec", "httpGet", "tcpSocket", "grpc"] as const;

/** Kubernetes' `core/v1.Probe`. */
export const Probe = definition(
  coreName("Probe"),
  object(
    "A question put to a container again and again.",
    {
      timeoutSeconds: int32("Seconds that a probe may take.", { default: 1 }),
      periodSeconds: int32("Seconds between two probes.", { default: 10 }),
      successThreshold: int32("Successes in a row after failures that count as a success.", { default: 1 }),
      failureThreshold: int32("Failures in a row that count as a failure.", { default: 3 }),
    },
    {
      initialDelaySeconds: int32("Seconds from the container's start to the first probe."),
      terminationGracePeriodSeconds: int64("Seconds that the container has to end when this probe fails."),
      exec: ExecAction,
      httpGet: HTTPGetAction,
      tcpSocket: TCPSocketAction,
      grpc: object(
        "Ask gRPC's health service.",
        { port: port("The port's number."), service: string("The service to ask about.", { default: "" }) },
        {},
      ),
    },
    { oneOf: [handlers] },
  ),
);
export type Probe = Value<typeof Probe>;

const LifecycleHandler = object(
  "What is done.",
  {},
  {
    exec: described("Run a command in the container.", ExecAction),
    httpGet: described("Send an HTTP request.", HTTPGetAction),
    tcpSocket: described("Not used any more.", TCPSocketAction),
    sleep: object("Wait.", { seconds: int64("Seconds to wait.") }, {}),
  },
  { oneOf: [["exec", "httpGet", "tcpSocket", "sleep"]] },
);

/** Kubernetes' `core/v1.Lifecycle`. */
export const Lifecycle = definition(
  coreName("Lifecycle"),
  object(
    "What is done as the container starts and before it ends.",
    {},
    {
      postStart: described("Done right after the start.", LifecycleHandler),
      preStop: described("Done before the container is asked to end.", LifecycleHandler),
      stopSignal: string("The signal by which the container is asked to end, such as SIGUSR1."),
    },
  ),
);
