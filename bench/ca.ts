/**
 * How many certificates the mesh's authority makes a second on one core, over gRPC with TLS, token and signing request
 * checked; and what a grpc-js server costs that does nothing but echo: `node bench/ca.ts [--seconds 10] [--rounds 3]`.
 */
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { parseArgs } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { systemClock } from "#base/clock.ts";
import { makeAuthority, readAuthority } from "#identity/authority.ts";
import { Issuer } from "#identity/issuer.ts";
import { issue } from "#identity/issue.ts";
import { makeSigningRequest, readSigningRequest } from "#identity/signing-request.ts";
import { TokenCluster } from "#identity/testing/cluster.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#proto/gen/istio/v1/auth/ca_pb.js";
import type { CaAnswer, CaRequest } from "./ca-server.ts";
import { Child } from "./child.ts";
import { type Row, printFigures, progress } from "./figures.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "10" }, rounds: { type: "string", default: "3" } },
});
const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)];

const identity = "spiffe://cluster.local/ns/shop/sa/reviews";
const csr = makeSigningRequest(generateKeyPairSync("ec", { namedCurve: "P-256" }));
const request = toBinary(
  IstioCertificateRequestSchema,
  create(IstioCertificateRequestSchema, { csr, metadata: { ImpersonatedIdentity: identity } }),
);
const connections = 4;
const inFlight = 16;
const warmUpMs = 2_000;

type Kind = "certificates" | "echo";
type ServerChild = Child<CaRequest, CaAnswer>;

/** One core for the server, where the machine can say so. */
const oneCore = spawnSync("taskset", ["--version"]).status === 0 ? ["taskset", "-c", "0"] : [];

/** Calls without a pause until told to stop. Counts the answers, and checks the last. */
class Load {
  answers = 0;
  last: Buffer = Buffer.alloc(0);
  #stopped = false;
  readonly #clients: readonly Client[];
  readonly #metadata = new Metadata();
  #done: readonly Promise<void>[] = [];

  constructor({ port, roots, token }: Extract<CaAnswer, { kind: "ready" }>) {
    const channel = roots === "" ? credentials.createInsecure() : credentials.createSsl(Buffer.from(roots));
    const options = { "grpc.ssl_target_name_override": "istiod.istio-system.svc", "grpc.use_local_subchannel_pool": 1 };
    this.#clients = Array.from({ length: connections }, () => new Client(`127.0.0.1:${port}`, channel, options));
    if (token !== "") this.#metadata.set("authorization", `Bearer ${token}`);
  }

  start(): void {
    this.#done = this.#clients.flatMap((client) => Array.from({ length: inFlight }, async () => this.#call(client)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#done);
    for (const client of this.#clients) client.close();
  }

  async #call(client: Client): Promise<void> {
    const same = (bytes: Buffer): Buffer => bytes;
    const path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
    while (!this.#stopped) {
      this.last = await new Promise<Buffer>((resolve, reject) => {
        client.makeUnaryRequest(path, same, same, Buffer.from(request), this.#metadata, (error, answer) =>
          error || !answer ? reject(error ?? new Error("no answer")) : resolve(answer),
        );
      });
      this.answers += 1;
    }
  }
}

/** An answer must be a certificate of the identity that was asked for, made by the authority. */
function check(answer: Buffer, roots: string): void {
  const [leaf = "", ...more] = fromBinary(IstioCertificateResponseSchema, answer).certChain;
  const certificate = new X509Certificate(leaf);
  const good =
    certificate.subjectAltName === `URI:${identity}` && certificate.verify(new X509Certificate(roots).publicKey);
  if (!good || more.at(-1) !== roots) throw new Error("an answer is not the certificate that was asked for");
}

async function measure(kind: Kind): Promise<Row> {
  progress(`${kind}: ${seconds} s`);
  const child: ServerChild = new Child("ca-server.ts", [kind], oneCore);
  try {
    const ready = await child.answer("ready");
    const load = new Load(ready);
    load.start();
    await systemClock.sleep(warmUpMs);
    const before = { ...(await child.ask({ kind: "cost" }, "cost")), answers: load.answers, at: performance.now() };
    await systemClock.sleep(seconds * 1000);
    const after = { ...(await child.ask({ kind: "cost" }, "cost")), answers: load.answers, at: performance.now() };
    await load.stop();
    if (kind === "certificates") check(load.last, ready.roots);
    const answers = after.answers - before.answers;
    const [cpu, thread] = [(after.process - before.process) / answers, (after.thread - before.thread) / answers];
    return {
      server: kind,
      "answers/s": Math.round(answers / ((after.at - before.at) / 1000)),
      "CPU us each": Math.round(cpu),
      "of the serving thread": Math.round(thread),
      "answers/s of a whole core": Math.round(1e6 / cpu),
    };
  } finally {
    await child.end();
  }
}

/** Microseconds of CPU of one turn of some work. */
async function cost(work: () => unknown, turns = 500): Promise<number> {
  for (let turn = 0; turn < turns; turn += 1) await work();
  const before = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) await work();
  const { user, system } = process.cpuUsage(before);
  return Math.round((user + system) / turns);
}

/** What the parts of an answer cost, each for itself. */
async function parts(): Promise<Readonly<Record<string, number>>> {
  const cluster = await TokenCluster.create("https://east.test");
  const [issuer, token] = [new Issuer(cluster, "istio-ca", systemClock), await cluster.token()];
  const now = systemClock.now();
  const authority = readAuthority(makeAuthority("P-256", "cluster.local", now), now);
  const both = await cost(() => issue({ csr, names: [identity], ttlMs: 3_600_000, now }, authority));
  const reading = await cost(() => readSigningRequest(csr));
  return {
    "token checked": await cost(() => issuer.check(token)),
    "request read": reading,
    "certificate made": both - reading,
  };
}

const rows: Row[] = [];
for (let round = 0; round < rounds; round += 1)
  for (const kind of ["certificates", "echo"] as const) rows.push(await measure(kind));
const partsUs = await parts();
for (const [part, us] of Object.entries(partsUs)) progress(`${part}: ${us} us of CPU`);
printFigures(
  "ca",
  "CreateCertificate over gRPC and TLS on one core",
  { seconds, connections, inFlight, partsUs },
  rows,
);
