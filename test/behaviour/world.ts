import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MeshProxy } from "#analysis/diff.ts";
import type { MeshSnapshot, PlacedObject } from "#analysis/snapshot.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { EgressScope } from "#api/weft/egress-scope.ts";
import { systemClock } from "#base/clock.ts";
import type { Authority } from "#base/testing/certificate.ts";
import { silentLogger } from "#base/logger.ts";
import { DemandLedger } from "#discovery/demand.ts";
import { Engine } from "#incremental/engine.ts";
import { defaultTrustDomain, type MeshInput } from "#model/mesh.ts";
import { createModel, type Model } from "#model/model.ts";
import type { TypeUrl } from "#proto/encoded.ts";
import { applyCapture, defaultCapture } from "#runtime/capture.ts";
import { ipBatch } from "#runtime/namespace.ts";
import { createTranslator, type Translator } from "#translate/translator.ts";
import { createXdsServer, type XdsServer } from "#xds/server.ts";
import { NetworkEnvoy } from "../support/envoy.ts";
import { eventually } from "../support/eventually.ts";
import { NameServer, nameServerAddress } from "../support/name-server.ts";
import { TestNetwork } from "../support/network.ts";
import { Backends } from "./backends.ts";
import { Caller } from "./caller.ts";
import { Identities } from "./identities.ts";
import {
  absent,
  clusterObject,
  meshObject,
  objectsOf,
  place,
  type PlacedService,
  podObject,
  type PodSpec,
  serviceObjects,
  type ServiceSpec,
} from "./objects.ts";

/** A workload with a proxy of its own, or a gateway. */
export interface ProxySpec {
  readonly name: string;
  readonly type?: "sidecar" | "router";
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Runs the servers of `Backends`, so that what reaches its ports goes through its inbound listener. */
  readonly serves?: boolean;
  /** NONE leaves its connections as they are; redirected unless told. */
  readonly interception?: "NONE";
  /** The member cluster; `east` unless told. */
  readonly cluster?: string;
  /** The network that its node says; none unless told. */
  readonly network?: string;
  /** Its Envoy's worker threads; one unless told. */
  readonly workers?: number;
  /** The Kubernetes node that it runs on; none unless told. */
  readonly node?: string;
  /** Where its node says that it is, as `region.zone`; nowhere unless told. */
  readonly locality?: string;
  /** The service account for which it has a certificate of the mesh; it has none unless told. */
  readonly identity?: string;
  /** More of its node's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A mesh for one file of tests. */
export interface WorldSpec {
  readonly services: readonly ServiceSpec[];
  /** Istio objects, as YAML texts; `@reviews-v1-0` stands for the address of that Pod. */
  readonly istio: readonly string[];
  /** Kubernetes objects by cluster, as YAML texts, beside those that `services` come to. */
  readonly kubernetes?: Readonly<Record<string, readonly string[]>>;
  readonly proxies: readonly ProxySpec[];
  /** What the proxies' name server knows: addresses, or `@reviews-v1-0`, by name. They have none without. */
  readonly names?: Readonly<Record<string, string>>;
  readonly mesh?: MeshInput;
}

/** What a proxy does not take. */
export interface Refused {
  readonly resources: readonly string[];
  readonly message: string;
  /** Objects that the resources came from: `EnvoyFilter odd`. */
  readonly blamed: readonly string[];
}

/** Names that proxies of one workload may ask for before they get everything. */
export const mostAsks = 100;

/** An address of the Pods' network that no object tells of; the backends answer there as `stranger`. */
export const strangerAddress = "10.10.14.1";

/** The label by which Pods say that their proxies speak mutual TLS of the mesh. */
const speaking = { "security.istio.io/tlsMode": "istio" } as const;

function proxyAddress(at: number): string {
  return `10.10.15.${at + 1}`;
}

interface Proxy {
  readonly spec: ProxySpec;
  readonly address: string;
  readonly namespace: string;
  readonly network: string;
}

function nodeOf({ spec, address, namespace }: Proxy) {
  const { name, type = "sidecar", labels = {}, annotations = {}, cluster = "east", network, node, metadata } = spec;
  const identified = spec.identity !== undefined;
  const [region = "", zone = ""] = spec.locality?.split(".") ?? [];
  return {
    locality: { region, zone },
    id: `${type}~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${name}.${namespace}`,
    metadata: {
      NAME: name,
      NAMESPACE: namespace,
      ANNOTATIONS: annotations,
      CLUSTER_ID: cluster,
      ...(network !== undefined && { NETWORK: network }),
      ...(node !== undefined && { NODE_NAME: node }),
      LABELS: labels,
      INSTANCE_IPS: address,
      INTERCEPTION_MODE: spec.interception ?? "REDIRECT",
      ISTIO_VERSION: "1.31.0",
      ...(identified && { WEFT_SDS: "true" }),
      ...metadata,
    },
  };
}

/**
 * A small mesh: the model and the translation of given objects, served over ADS to real Envoys, one in each workload's
 * network namespace behind Istio's capture rules; backends on addresses of the same network.
 */
export class World implements AsyncDisposable {
  readonly model: Model;
  readonly backends: Backends;
  readonly identities = new Identities();
  readonly #engine = new Engine();
  readonly #services: readonly PlacedService[];
  /** Of workloads with proxies, by name. */
  readonly #addresses: ReadonlyMap<string, string>;
  readonly #stack = new AsyncDisposableStack();
  readonly #callers = new Map<string, Caller>();
  readonly #envoys = new Map<string, NetworkEnvoy>();
  readonly #proxies: Proxy[] = [];
  readonly #names: ReadonlyMap<string, string> | undefined;
  /** Sockets by which proxies are served their certificates. */
  readonly #sds = new Map<string, string>();
  readonly #objects: PlacedObject[] = [];
  #settings: MeshInput;
  readonly #translator: Translator;
  #xds: XdsServer | undefined;
  #ads = "";
  #network: TestNetwork | undefined;
  #backendNetwork = "";

  private constructor(spec: WorldSpec) {
    this.#settings = spec.mesh ?? {};
    this.model = createModel(this.#engine);
    this.#translator = createTranslator(this.#engine, this.model);
    this.#addresses = new Map(spec.proxies.map(({ name }, at) => [name, proxyAddress(at)]));
    this.#services = place(spec.services, this.#addresses);
    const pods = this.#pods().map((pod) => [pod.address, pod.name] as const);
    this.#names =
      spec.names && new Map(Object.entries(spec.names).map(([name, at]) => [name, this.#withAddresses(at)]));
    this.backends = new Backends(new Map([...pods, [strangerAddress, "stranger"]]));
  }

  /**
   * @param name tells worlds of one process apart.
   * @param prepare is called with the authority of the backends' certificates, and with what it signed for them, before any
   *   object is read or any proxy starts.
   */
  static async start(
    name: string,
    spec: WorldSpec,
    prepare?: (authority: Authority, certificate: string) => void,
  ): Promise<World> {
    const world = new World(spec);
    try {
      prepare?.(world.backends.authority, world.backends.certificate.certificate);
      await world.#start(name, spec);
      return world;
    } catch (fault) {
      await world[Symbol.asyncDispose]();
      throw fault;
    }
  }

  /** The program of a workload. */
  caller(name: string): Caller {
    const caller = this.#callers.get(name);
    if (!caller) throw new Error(`no proxy is called ${name}`);
    return caller;
  }

  /** The Envoy of a workload. */
  envoy(name: string): NetworkEnvoy {
    const envoy = this.#envoys.get(name);
    if (!envoy) throw new Error(`no proxy is called ${name}`);
    return envoy;
  }

  /** The network namespace of a workload. */
  namespaceOf(name: string): string {
    const proxy = this.#proxies.find(({ spec }) => spec.name === name);
    if (!proxy) throw new Error(`no proxy is called ${name}`);
    return proxy.network;
  }

  /** A program outside of every workload, as callers of a gateway are. */
  get outside(): Caller {
    return this.caller("");
  }

  /** The network namespace of such a program. */
  get outsideNamespace(): string {
    if (!this.#network) throw new Error("the world has no network yet");
    return this.#network.outside;
  }

  /** All that was put into the mesh, as objects. */
  get snapshot(): MeshSnapshot {
    const clusters = new Set(["east", ...this.#objects.flatMap(({ cluster }) => (cluster === "" ? [] : [cluster]))]);
    const own = [...[...clusters].map(clusterObject), meshObject(this.#settings)].map((object) => ({
      object,
      cluster: "",
    }));
    return [...own, ...this.#objects];
  }

  /** The mesh's proxies, as questions about the mesh ask for them. */
  get meshProxies(): readonly MeshProxy[] {
    return this.#proxies.map((proxy) => ({
      name: `${proxy.spec.name}.${proxy.namespace}`,
      cluster: proxy.spec.cluster ?? "east",
      node: { ...nodeOf(proxy), locality: { ...nodeOf(proxy).locality, subzone: "" } },
    }));
  }

  /** The address of a Pod, or of a workload with a proxy. */
  addressOf(name: string): string {
    const address = this.#pods().find((pod) => pod.name === name)?.address ?? this.#addresses.get(name);
    if (address === undefined) throw new Error(`no Pod is called ${name}`);
    return address;
  }

  /** Makes some of its Pods all that a service has. */
  setEndpoints(service: string, pods: readonly string[]): void {
    const placed = this.#services.find(({ spec }) => spec.name === service);
    if (!placed) throw new Error(`no service is called ${service}`);
    this.#put(serviceObjects({ ...placed, pods: placed.pods.filter(({ name }) => pods.includes(name)) }), "east");
  }

  /** Takes a Pod's address away, without a word to those that are connected to it. */
  async vanish(pod: string): Promise<void> {
    await ipBatch(this.#backendNetwork, [`address del ${this.addressOf(pod)}/20 dev eth0`]);
  }

  /** What is wrong with an object: the fields, and why. */
  findings(kind: string, name: string, namespace = "shop"): readonly string[] {
    return this.#translator.findings({ kind, namespace, name }).map(({ code, field = "" }) => `${code} ${field}`);
  }

  /** What proxies refuse now. */
  get refused(): readonly Refused[] {
    return (this.#xds?.proxies() ?? []).flatMap(({ node, types }) =>
      Object.entries(types).flatMap(([type, { refused }]) => {
        if (!refused) return [];
        const origins = refused.resources.flatMap((name) => this.#translator.origins(node, type as TypeUrl, name));
        return [{ ...refused, blamed: origins.map(({ kind, name }) => `${kind} ${name}`) }];
      }),
    );
  }

  /** Edits objects of the mesh, or of a cluster, as one change. */
  apply(yaml: string, cluster = ""): void {
    this.#put(objectsOf(this.#withAddresses(yaml)), cluster);
  }

  /** Takes an object away. */
  remove(kind: string, name: string, namespace = "shop", cluster = ""): void {
    this.model.inputs.remove(kind, { namespace, name }, cluster);
  }

  /** Replaces the settings of the mesh. */
  setMesh(mesh: MeshInput): void {
    this.#settings = mesh;
    this.#engine.change(() => this.model.inputs.setMesh(mesh));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #start(name: string, spec: WorldSpec): Promise<void> {
    this.#fill(spec);
    const network = this.#stack.use(await TestNetwork.create(name));
    this.#network = network;
    this.#stack.use(this.backends);
    this.#stack.use(this.identities);
    const served = this.#services.filter((service) => !service.spec.servedBy).flatMap((service) => service.pods);
    const addresses = served.filter(({ version }) => version !== absent).map(({ address }) => address);
    const backends = await network.add("backends", "10.10.0.2", [strangerAddress, ...addresses]);
    this.#callers.set("", this.#stack.use(new Caller(network.outside, (host) => this.resolve(host, ""))));
    this.#backendNetwork = backends;
    await this.backends.listen(backends);
    const folder = mkdtempSync(join(tmpdir(), "weft-behaviour-"));
    chmodSync(folder, 0o755);
    this.#stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const socketPath = join(folder, "ads.sock");
    this.#ads = socketPath;
    this.#stack.defer(async () => this.#xds?.[Symbol.asyncDispose]());
    const xds = await this.#serve();
    await Promise.all(spec.proxies.map((proxy, at) => this.#startProxy(network, proxy, proxyAddress(at), socketPath)));
    await this.#inSync(xds);
  }

  async #serve(): Promise<XdsServer> {
    const keeper = { keep: (workload: string, hosts: readonly string[]) => this.#keep(workload, hosts) };
    this.#xds = await createXdsServer({
      source: this.#translator,
      engine: this.#engine,
      clock: systemClock,
      logger: silentLogger,
      demand: new DemandLedger({ model: this.model, source: this.#translator, keeper, mostAsks }),
      listen: [{ socketPath: this.#ads }],
      drainMs: 0,
    });
    // Envoys run as a user of their own.
    chmodSync(this.#ads, 0o666);
    return this.#xds;
  }

  /** Keeps what a workload calls as the API would. */
  #keep(workload: string, hosts: readonly string[]): void {
    const [namespace = "", name = ""] = workload.split("/");
    const known = this.#objects.findLast(
      ({ object: { kind, metadata } }) =>
        kind === "EgressScope" && `${metadata.namespace}/${metadata.name}` === workload,
    )?.object;
    const { spec = { hosts: [] }, status } = (known ?? {}) as Partial<EgressScope>;
    const learned = [...(status?.learned ?? []), ...hosts.map((host) => ({ host }))];
    const metadata = { namespace, name, uid: workload, creationTimestamp: "2026-01-01T00:00:00Z" };
    const object = { apiVersion: "mesh.weft.dev/v1alpha1", kind: "EgressScope", metadata, spec, status: { learned } };
    this.#put([object as unknown as ResourceObject], "");
  }

  /** Ends the control plane and starts another one, which knows the mesh's objects and nothing else. */
  async restartControlPlane(): Promise<void> {
    await this.#xds?.[Symbol.asyncDispose]();
    await this.#inSync(await this.#serve());
  }

  /** Ends the Envoy of a workload and starts another one. */
  async restartProxy(name: string): Promise<void> {
    await this.envoy(name)[Symbol.asyncDispose]();
    const proxy = this.#proxies.find(({ spec }) => spec.name === name);
    if (proxy) await this.#startEnvoy(proxy);
  }

  #fill({ istio, kubernetes = {}, mesh, proxies }: WorldSpec): void {
    this.#engine.change(() => {
      for (const cluster of new Set(["east", ...Object.keys(kubernetes)])) this.model.inputs.putCluster(cluster, "");
      if (mesh) this.model.inputs.setMesh(mesh);
      this.#put(this.#services.flatMap(serviceObjects), "east");
      this.#put(objectsOf(this.#withAddresses(istio.join("\n---\n"))), "");
      const pods = proxies.map(({ name, namespace = "shop", labels = {}, identity }, at) =>
        podObject(
          name,
          namespace,
          proxyAddress(at),
          identity === undefined ? labels : { ...labels, ...speaking },
          identity,
        ),
      );
      this.#put(pods, "east");
      for (const [cluster, texts] of Object.entries(kubernetes)) {
        this.#put(objectsOf(this.#withAddresses(texts.join("\n---\n"))), cluster);
      }
    });
  }

  #pods(): readonly PodSpec[] {
    return this.#services.flatMap((service) => service.pods);
  }

  #withAddresses(yaml: string): string {
    return yaml.replaceAll(/@(?!type\b|request\.)([a-z0-9-]+)/g, (_whole, name: string) => this.addressOf(name));
  }

  #put(objects: readonly ResourceObject[], cluster: string): void {
    this.#engine.change(() => {
      for (const object of objects) this.model.inputs.put(object, cluster);
    });
    this.#objects.push(...objects.map((object) => ({ object, cluster })));
  }

  async #startProxy(network: TestNetwork, spec: ProxySpec, address: string, ads: string): Promise<void> {
    const proxy = {
      spec,
      address,
      namespace: spec.namespace ?? "shop",
      network: await network.add(spec.name, address),
    };
    this.#proxies.push(proxy);
    if (spec.serves) await this.backends.listen(proxy.network);
    if (spec.type !== "router" && spec.interception !== "NONE") await applyCapture(proxy.network, defaultCapture);
    const resolvConf = `${ads}.resolv.conf`;
    if (this.#names) {
      writeFileSync(resolvConf, `nameserver ${nameServerAddress}\n`);
      this.#stack.use(await NameServer.start(proxy.network, this.#names));
    }
    if (spec.identity !== undefined) {
      const { trustDomain = defaultTrustDomain } = this.#settings;
      const identity = { trustDomain, namespace: proxy.namespace, serviceAccount: spec.identity };
      this.#sds.set(spec.name, await this.identities.serve(ads, spec.name, identity));
    }
    await this.#startEnvoy(proxy);
    const resolve = (host: string): string => this.resolve(host, proxy.namespace);
    this.#callers.set(spec.name, this.#stack.use(new Caller(proxy.network, resolve)));
  }

  async #startEnvoy(proxy: Proxy): Promise<void> {
    const { name, workers } = proxy.spec;
    const envoy = await NetworkEnvoy.start({
      namespace: proxy.network,
      node: nodeOf(proxy),
      ads: this.#ads,
      sds: this.#sds.get(name),
      ...(this.#names && { resolvConf: `${this.#ads}.resolv.conf` }),
      ...(workers !== undefined && { workers }),
    });
    this.#envoys.set(name, this.#stack.use(envoy));
  }

  /** What a workload's DNS says: services by their names, short ones of the workload's namespace too. */
  resolve(host: string, namespace: string): string {
    const names = new Set([
      host,
      `${host}.svc.cluster.local`,
      `${host}.${namespace}.svc.cluster.local`,
      `${host}.cluster.local`,
    ]);
    const service = this.#services.find((each) => names.has(each.host));
    if (service?.spec.externalName !== undefined) return this.resolve(service.spec.externalName, namespace);
    if (service?.address === "None") return service.pods[0]?.address ?? host;
    if (service) return service.address;
    const address = host.replaceAll(/[[\]]/g, "");
    return isIP(address) === 0 ? strangerAddress : address;
  }

  async #inSync(xds: XdsServer): Promise<void> {
    const outcome = await eventually("every proxy is in sync", () => {
      const states = xds.proxies().flatMap(({ types }) => Object.values(types));
      const refused = states.find(({ state }) => state === "NACKED")?.refused;
      if (refused) return { refused };
      const settled = states.every(({ state }) => state === "SYNCED" || state === "NEVER");
      return settled && xds.proxies().length === this.#proxies.length ? { refused: undefined } : undefined;
    });
    const { refused } = outcome;
    if (refused) throw new Error(`Envoy refuses ${refused.resources.join(", ")}: ${refused.message}`);
  }
}
