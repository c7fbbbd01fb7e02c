import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { captureRules, defaultCapture } from "#runtime/capture.ts";
import { podOf } from "../testing/pods.ts";
import { groupsMade, podOfGroups } from "./control-groups.ts";
import { passing, removalOf } from "../traffic/rules.ts";
import { captured, connectionText, outside, readConnections } from "../traffic/open-connections.ts";
import { probedPorts, probeRules } from "./probe-rules.ts";
import { isManaged } from "./selection.ts";

function changed(metadata: object, spec: object = {}): Pod {
  const pod = podOf();
  return { ...pod, metadata: { ...pod.metadata, ...metadata }, spec: { ...pod.spec, ...spec } };
}

describe("who gets a sidecar of the node's agent", () => {
  const node = { "mesh.weft.dev/sidecar": "node" };

  it("follows the namespace's label, and before it the Pod's", () => {
    expect(isManaged(changed({ labels: {} }), node)).toBe(true);
    expect(isManaged(changed({ labels: {} }), {})).toBe(false);
    expect(isManaged(changed({ labels: node }), {})).toBe(true);
    expect(isManaged(changed({ labels: { "mesh.weft.dev/sidecar": "none" } }), node)).toBe(false);
  });

  it("leaves alone who asks for that, who has a proxy, and who has no network of its own", () => {
    expect(isManaged(changed({ labels: { "sidecar.istio.io/inject": "false" } }), node)).toBe(false);
    expect(isManaged(changed({ labels: {} }, { hostNetwork: true }), node)).toBe(false);
    expect(isManaged(changed({ labels: {} }, { initContainers: [{ name: "istio-proxy" }] }), node)).toBe(false);
    expect(isManaged(changed({ labels: {}, namespace: "kube-system" }), node)).toBe(false);
  });
});

describe("the Pod of a process", () => {
  const uid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

  it.each([
    [`4:memory:/kubepods/burstable/pod${uid}/0123456789ab\n0::/\n`, uid],
    [`0::/kubepods.slice/kubepods-pod${uid.replaceAll("-", "_")}.slice/cri-containerd-01.scope\n`, uid],
    [`0::/kubepods/pod${uid}/weft-proxy\n`, undefined],
    ["0::/system.slice/kubelet.service\n", undefined],
  ])("is told by its control groups: %s", (text, expected) => expect(podOfGroups(text)).toBe(expected));
});

describe("the control groups of a Pod without processes", () => {
  const uid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
  const systemd = `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid.replaceAll("-", "_")}.slice`;

  it.each([
    [
      "of version 1, one a hierarchy",
      [`cpu/node/kubepods/burstable/pod${uid}`, `memory/kubepods/pod${uid}`],
      undefined,
    ],
    ["of version 2", [systemd], "cgroup.procs"],
  ])("are found: %s", (_, groups, mark) => {
    const top = mkdtempSync(join(tmpdir(), "weft-groups-"));
    try {
      for (const group of groups) mkdirSync(join(top, group, "weft-proxy"), { recursive: true });
      mkdirSync(join(top, "memory/kubepods/pod00000000-0000-0000-0000-000000000000"), { recursive: true });
      if (mark !== undefined) writeFileSync(join(top, mark), "");
      expect(groupsMade(uid, top)).toEqual(groups.map((group) => join(top, group)));
      expect(groupsMade(uid.replace("1", "2"), top)).toEqual([]);
    } finally {
      rmSync(top, { recursive: true, force: true });
    }
  });
});

it("takes back exactly the rules that it set", () => {
  const rules = captureRules({ ...defaultCapture, excludeInterfaces: ["eth1"] });
  const removal = removalOf(rules);
  const jumps = rules.split("\n").filter((line) => /^-A (PREROUTING|OUTPUT) /.test(line));
  expect(jumps).toHaveLength(4);
  for (const jump of jumps) expect(removal).toContain(`\n${jump.replace("-A", "-D")}\n`);
  for (const [, chain] of rules.matchAll(/^:(\S+)/gm)) expect(removal).toContain(`-F ${chain}\n`);
  expect(removal).not.toContain("-A ");
  expect(removal.startsWith("*nat\n")).toBe(true);
  expect(removal.endsWith("COMMIT\n")).toBe(true);
});

describe("connections", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B004D0A:C350 010A0A0A:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 1
   1: 0B004D0A:C351 020A0A0A:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 2
   2: 0100007F:3A99 0B004D0A:C351 01 00000000:00000000 00:00000000 00000000  1337        0 3
   3: 0B004D0A:3A9E 030A0A0A:9C40 01 00000000:00000000 00:00000000 00000000  1337        0 4
   4: 0B004D0A:1F90 0600007F:9C41 01 00000000:00000000 00:00000000 00000000  1000        0 5
   5: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 6
`;

  it("that the proxy does not have are told from those that it has", () => {
    const all = readConnections(table);
    expect(all).toHaveLength(5);
    expect(outside(all, 1337).map(connectionText)).toEqual(["10.77.0.11:50000 with 10.10.10.1:8080"]);
    expect(captured(all, 1337)).toBe(2);
  });

  it("that are older pass by the rules of capture, in both directions, and no others", () => {
    const old = readConnections(table).slice(0, 1);
    expect(passing(old).split("\n")).toEqual([
      "*nat",
      ":WEFT_OLDER - [0:0]",
      "-A WEFT_OLDER -m conntrack --ctstate UNTRACKED -j RETURN",
      "-A WEFT_OLDER -s 10.77.0.11/32 -d 10.10.10.1/32 -p tcp -m tcp --sport 50000 --dport 8080 -j ACCEPT",
      "-A WEFT_OLDER -s 10.10.10.1/32 -d 10.77.0.11/32 -p tcp -m tcp --sport 8080 --dport 50000 -j ACCEPT",
      "COMMIT",
      "",
    ]);
    expect(
      passing([{ local: "[2001:0db8]:1", remote: "[2001:0db8]:2", uid: 1, open: true, served: false }]),
    ).not.toContain("ACCEPT");
  });

  it("of IPv6 sockets are read too", () => {
    const row = "   0: 0000000000000000FFFF00000B004D0A:1F90 B80D01200000000000000000010000FF:C350 01 0:0 0:0 0 0 0 1";
    const [one] = readConnections(`sl\n${row}\n`);
    expect(one).toMatchObject({ local: "10.77.0.11:8080", remote: "[2001:0db8:0000:0000:0000:0000:ff00:0001]:50000" });
  });
});

it("knows the ports that a kubelet asks, by number and by name", () => {
  const pod = changed(
    {},
    {
      containers: [
        {
          name: "web",
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/", port: "http" } },
          livenessProbe: { tcpSocket: { port: 9000 } },
          startupProbe: { grpc: { port: 9001 } },
        },
        { name: "other", livenessProbe: { httpGet: { port: 80, host: "example.com" } }, readinessProbe: { exec: {} } },
      ],
    },
  );
  const ports = probedPorts(pod, "10.77.0.11");
  expect(ports.map(({ port }) => port).toSorted((a, b) => a - b)).toEqual([8080, 9000, 9001]);
  expect(probeRules(ports)).toContain("-d 10.77.0.11/32 -p tcp -m tcp --dport 9001 -j SNAT --to-source 169.254.7.127");
});
