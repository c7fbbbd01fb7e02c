/** The certificate service as discovery serves it, over TLS; or, for comparison, a grpc-js server that sends back what it gets. */
import { generateKeyPairSync } from "node:crypto";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { GrpcServer } from "#grpc/server.ts";
import { makeAuthority } from "#identity/authority.ts";
import { Callers } from "#identity/callers.ts";
import { certificateMethods } from "#identity/certificate-service.ts";
import { defaultLifetimes } from "#identity/settings.ts";
import { Signer } from "#identity/signer.ts";
import { makeSigningRequest } from "#identity/signing-request.ts";
import { TokenCluster } from "#identity/testing/cluster.ts";
import { podDirectory } from "#identity/testing/pods.ts";

/** What the benchmark asks. */
export interface CaRequest {
  readonly kind: "cost";
}

/** What it answers; `ready` comes unasked. */
export type CaAnswer =
  | { readonly kind: "ready"; readonly port: number; readonly roots: string; readonly token: string }
  /** Microseconds of CPU so far: of the whole process, and of the thread that serves. */
  | { readonly kind: "cost"; readonly process: number; readonly thread: number };

/** The path that both serve. */
const path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const name = "istiod.istio-system.svc";
/** An agent may ask for all its Pods at once; here it never ends. */
const unlimited = { perSecond: 1e9, burst: 1e9 };

const answer = (message: CaAnswer): void => void process.send?.(message);
const sum = ({ user, system }: NodeJS.CpuUsage): number => user + system;

async function serveCertificates(): Promise<void> {
  const signer = new Signer(systemClock);
  const files = makeAuthority("P-256", "cluster.local", systemClock.now());
  const trust = signer.use(files);
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { chain } = await signer.issue({ csr: makeSigningRequest(keys), names: [name], ttlMs: 3_600_000 });
  const cluster = await TokenCluster.create("https://east.test");
  const trustDomains = { own: "cluster.local", aliases: [] };
  const accounts = [{ namespace: "istio-system", name: "weft-agent" }];
  const pods = podDirectory({ "east/shop/reviews-1": { uid: "r1", serviceAccount: "reviews", node: "east-1" } });
  const mesh = {
    trustDomains: () => trustDomains,
    clusters: () => new Map([["east", cluster]]),
    trust: () => trust,
  };
  const server = await GrpcServer.listen({
    listen: [{ host: "127.0.0.1", port: 0, tls: true }],
    clock: systemClock,
    maxConcurrentStreams: 1000,
    credentials: {
      current: {
        certificate: chain.join(""),
        key: keys.privateKey.export({ type: "pkcs8", format: "pem" }),
        roots: [files.roots],
      },
      onChange: () => ({ [Symbol.dispose]: () => undefined }),
    },
    methods: certificateMethods({
      callers: new Callers({ mesh, clock: systemClock }),
      signer,
      roots: () => files.roots,
      rules: () => ({ accounts, pods, trustDomains }),
      lifetimes: defaultLifetimes,
      rate: unlimited,
      clock: systemClock,
      logger: silentLogger,
    }),
  });
  const token = await cluster.token({ namespace: "istio-system", serviceAccount: "weft-agent", node: "east-1" });
  const [address] = server.addresses;
  if (address && "port" in address) answer({ kind: "ready", port: address.port, roots: files.roots, token });
}

function serveEcho(): void {
  const same = (bytes: Buffer): Buffer => bytes;
  const echo = { path, requestStream: false, responseStream: false, requestSerialize: same, requestDeserialize: same };
  const server = new Server();
  server.addService(
    { echo: { ...echo, responseSerialize: same, responseDeserialize: same } },
    {
      echo: ({ request }: { readonly request: Buffer }, reply: (error: null, bytes: Buffer) => void) =>
        reply(null, request),
    },
  );
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    answer({ kind: "ready", port, roots: "", token: "" });
  });
}

process.on("message", () => {
  answer({ kind: "cost", process: sum(process.cpuUsage()), thread: sum(process.threadCpuUsage()) });
});
process.on("disconnect", () => process.exit());

if (process.argv[2] === "echo") serveEcho();
else await serveCertificates();
