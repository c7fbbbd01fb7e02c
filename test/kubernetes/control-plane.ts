import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { freePort } from "#base/free-port.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import type { Credentials } from "./credentials.ts";
import { Daemon } from "./daemon.ts";
import type { Host } from "./network.ts";

/** Where a control plane runs and what it is told. */
export interface ControlPlaneOptions {
  /** Takes its state and its logs. */
  readonly folder: string;
  readonly credentials: Credentials;
  /** Its host; the machine's loopback unless told. */
  readonly host?: Host | undefined;
  /** Ranges of addresses. */
  readonly pods: string;
  readonly services: string;
  /** More flags. */
  readonly apiServer: readonly string[];
  readonly controllerManager: readonly string[];
}

/** The processes of a control plane. */
export interface ControlPlane {
  readonly etcd: Daemon;
  /** Base URL of etcd's clients, on the loopback of the control plane's host. */
  readonly etcdUrl: string;
  readonly apiServer: Daemon;
  readonly apiPort: number;
  readonly controllerManager: Daemon;
  readonly scheduler: Daemon;
}

let program: string | undefined;

/** Path of the program that is all of Kubernetes' programs, built if need be. */
export function kubernetesProgram(): string {
  program ??= execFileSync(process.execPath, ["setup/kubernetes.ts"], { encoding: "utf8" }).trim();
  return program;
}

/** Flags with values, as Kubernetes' programs and etcd take them. */
export function flags(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}

const loopback = "127.0.0.1";

/** Names of Kubernetes' own Service, by which Pods call the API server. */
const ownNames = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/** An address of a range, by its last part. The first is that of the Service `kubernetes`, the tenth that of the name server. */
export function serviceAddress(range: string, last: number): string {
  return range.replace(/\d+\/\d+$/, String(last));
}

/** Makes all credentials that the control plane needs, but for kubeconfigs. */
function issueAll({ credentials, services, host }: ControlPlaneOptions): void {
  const addresses = [loopback, serviceAddress(services, 1), ...(host === undefined ? [] : [host.address])];
  credentials.server("api-server", [...ownNames, "localhost", ...addresses]);
  credentials.client("kubelet-client", { name: "kube-apiserver-kubelet-client", groups: ["system:masters"] });
}

function apiServerFlags(options: ControlPlaneOptions, etcdUrl: string, port: number): string[] {
  const { credentials, host, folder } = options;
  const address = host?.address ?? loopback;
  const file = (name: string): string => credentials.file(name);
  return flags({
    "etcd-servers": etcdUrl,
    "bind-address": address,
    "secure-port": port,
    // Endpoints of the Service `kubernetes` may not be loopback addresses.
    ...(host === undefined ? { "endpoint-reconciler-type": "none" } : {}),
    "advertise-address": address,
    "cert-dir": join(folder, "api-server"),
    "tls-cert-file": file("api-server.crt"),
    "tls-private-key-file": file("api-server.key"),
    "client-ca-file": file("ca/ca.crt"),
    "kubelet-certificate-authority": file("ca/ca.crt"),
    "kubelet-client-certificate": file("kubelet-client.crt"),
    "kubelet-client-key": file("kubelet-client.key"),
    "kubelet-preferred-address-types": "InternalIP",
    "requestheader-client-ca-file": file("front-proxy-ca/ca.crt"),
    "requestheader-allowed-names": "front-proxy-client",
    "requestheader-username-headers": "X-Remote-User",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "proxy-client-cert-file": file("front-proxy.crt"),
    "proxy-client-key-file": file("front-proxy.key"),
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": file("tokens.pub"),
    "service-account-signing-key-file": file("tokens.key"),
    "service-cluster-ip-range": options.services,
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "allow-privileged": true,
  });
}

function controllerManagerFlags({ credentials, pods, services }: ControlPlaneOptions, kubeconfig: string): string[] {
  return flags({
    kubeconfig,
    "secure-port": 0,
    "leader-elect": false,
    "use-service-account-credentials": true,
    "service-account-private-key-file": credentials.file("tokens.key"),
    "root-ca-file": credentials.file("ca/ca.crt"),
    "cluster-signing-cert-file": credentials.file("ca/ca.crt"),
    "cluster-signing-key-file": credentials.file("ca/ca.key"),
    "allocate-node-cidrs": true,
    "cluster-cidr": pods,
    "service-cluster-ip-range": services,
  });
}

/**
 * Starts a control plane, which serves a few seconds later. Its controllers and scheduler are to be started then: they end when they
 * have waited for ten seconds.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folder, credentials, host } = options;
  issueAll(options);
  const daemon = (name: string, args: readonly string[]): Daemon => {
    const argv = [kubernetesProgram(), name, ...args] as const;
    const where = host === undefined ? argv : inside(namespacePath(host.namespace), argv);
    return new Daemon({ name, argv: where as [string, ...string[]], log: join(folder, `${name}.log`) });
  };
  const [clients, peers, apiPort] = [await freePort(), await freePort(), await freePort()];
  const [etcdUrl, peerUrl] = [`http://${loopback}:${clients}`, `http://${loopback}:${peers}`];
  const urls = { "listen-client-urls": etcdUrl, "advertise-client-urls": etcdUrl, "listen-peer-urls": peerUrl };
  const cluster = { "initial-advertise-peer-urls": peerUrl, "initial-cluster": `default=${peerUrl}` };
  // What a test writes need not outlive the machine.
  const quick = { "data-dir": join(folder, "etcd"), "unsafe-no-fsync": true };
  const url = `https://${host?.address ?? loopback}:${apiPort}`;
  const kubeconfig = (name: string): string => credentials.kubeconfig(name, url, { name: `system:${name}` });
  return {
    etcd: daemon("etcd", flags({ ...urls, ...cluster, ...quick })).start(),
    etcdUrl,
    apiServer: daemon("kube-apiserver", [...apiServerFlags(options, etcdUrl, apiPort), ...options.apiServer]).start(),
    apiPort,
    controllerManager: daemon("kube-controller-manager", [
      ...controllerManagerFlags(options, kubeconfig("kube-controller-manager")),
      ...options.controllerManager,
    ]),
    scheduler: daemon(
      "kube-scheduler",
      flags({ kubeconfig: kubeconfig("kube-scheduler"), "secure-port": 0, "leader-elect": false }),
    ),
  };
}
