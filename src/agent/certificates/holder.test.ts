import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { CertificateHolder } from "./holder.ts";
import type { WorkloadCertificate } from "./issued.ts";

const hour = 3_600_000;

/** Lets what waits for no time run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe("a workload's certificate", () => {
  let clock: ManualClock;
  let issued: number;
  let away: boolean;
  let changes: string[];
  let holder: CertificateHolder;

  const issue = (): Promise<WorkloadCertificate> => {
    if (away) return Promise.reject(new Error("the authority is away"));
    issued += 1;
    const notBefore = clock.now() - 60_000;
    const notAfter = clock.now() + 24 * hour;
    return Promise.resolve({
      key: "",
      chain: "",
      roots: [],
      issuer: "",
      serialNumber: String(issued),
      notBefore,
      notAfter,
    });
  };

  /** Lets time pass in steps, so that waits follow each other. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 30_000) {
      clock.advance(Math.min(left, 30_000));
      await settled();
    }
  };

  const begin = async (random: number): Promise<void> => {
    holder = new CertificateHolder({
      issue,
      clock,
      random: () => random,
      changed: () => changes.push(`${holder.state.phase} ${holder.state.serialNumber ?? ""}`),
    });
    holder.start();
    await settled();
  };

  beforeEach(() => {
    clock = new ManualClock();
    [issued, away, changes] = [0, false, []];
  });

  afterEach(() => holder[Symbol.dispose]());

  it.each([
    ["at half of its life", 0.5, 12],
    ["a little earlier by chance", 0.999999, 11.76],
    ["a little later by chance", 0, 12.24],
  ])("is replaced %s", async (_, random, hours) => {
    await begin(random);
    expect(holder.current?.serialNumber).toBe("1");
    await pass(hours * hour - 61_000);
    expect(holder.current?.serialNumber).toBe("1");
    await pass(122_000);
    expect(holder.current?.serialNumber).toBe("2");
    expect(changes).toEqual(["Valid 1", "Valid 2"]);
  });

  it("is asked for until there is one", async () => {
    away = true;
    await begin(0.5);
    expect(holder.current).toBeUndefined();
    expect(holder.state).toEqual({ phase: "Waiting", problem: "the authority is away" });
    await pass(10 * 60_000);
    expect(changes).toEqual(["Waiting "]);
    away = false;
    await pass(30_000);
    expect(holder.state).toMatchObject({ phase: "Valid", serialNumber: "1" });
    expect(holder.state.problem).toBeUndefined();
  });

  it("stays while no other is to be had, and tells when it nears its end, and is over", async () => {
    await begin(0.5);
    away = true;
    await pass(13 * hour);
    expect(holder.state).toMatchObject({ phase: "Valid", serialNumber: "1", problem: "the authority is away" });
    await pass(6.5 * hour);
    expect(holder.state.phase).toBe("Expiring");
    await pass(5 * hour);
    expect(holder.state).toMatchObject({ phase: "Expired", serialNumber: "1" });
    expect(holder.current?.serialNumber).toBe("1");
    expect(changes).toEqual(["Valid 1", "Valid 1", "Expiring 1", "Expired 1"]);
    away = false;
    await pass(30_000);
    expect(holder.state).toMatchObject({ phase: "Valid", serialNumber: "2" });
  });

  it("is replaced within seconds when that is asked for", async () => {
    await begin(0.5);
    await pass(hour);
    holder.renew();
    await settled();
    expect(holder.current?.serialNumber).toBe("1");
    await pass(30_000);
    expect(holder.current?.serialNumber).toBe("2");
    await pass(11 * hour);
    expect(holder.current?.serialNumber).toBe("2");
    await pass(1.1 * hour);
    expect(holder.current?.serialNumber).toBe("3");
  });

  it("is forgotten when it ends, and asked for no more", async () => {
    await begin(0.5);
    holder[Symbol.dispose]();
    expect(holder.current).toBeUndefined();
    await pass(24 * hour);
    expect(issued).toBe(1);
  });
});
