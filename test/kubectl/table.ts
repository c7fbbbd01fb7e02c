import { apply, deployment, service, virtualService } from "./manifests.ts";

/** One kubectl command and what it must say. */
export interface Step {
  /** Arguments, as a shell would split them. */
  readonly run: string;
  /** Which endpoint's kubeconfig; `east` unless told. */
  readonly on?: "mesh" | "east" | "west";
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** 0 unless told. */
  readonly code?: number;
  /** What stands in its output. */
  readonly says?: readonly (string | RegExp)[];
  /** What does not. */
  readonly lacks?: readonly string[];
  /** What stands in its errors. */
  readonly complains?: readonly (string | RegExp)[];
  /** Commands that are run once this one watches: it must have `-v=6`, by which kubectl tells of its requests. */
  readonly meanwhile?: readonly Step[];
  /** Ends the command when its output matches. */
  readonly until?: RegExp;
}

/** What is tried, with its steps. */
export type Row = readonly [what: string, steps: readonly Step[]];

/** An editor that changes `from` to `to` in the file it is given. */
function editor(from: string, to: string): Readonly<Record<string, string>> {
  return { KUBE_EDITOR: `sed -i s/${from}/${to}/` };
}

const reading: readonly Row[] = [
  [
    "get: a table",
    [
      {
        run: "get deployment web -n shop",
        says: [/^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +2\/2 +2 +2 +\d+s\n$/],
      },
      { run: "get nodes,ns", says: ["node/n1", "namespace/shop", "Active"] },
      { run: "get all -n shop", says: ["pod/web-", "service/web", "deployment.apps/web", "replicaset.apps/web-"] },
      {
        run: "get svc -A",
        says: [/^NAMESPACE +NAME +TYPE/m, /^shop +web +ClusterIP +10\.110\.\d+\.\d+ +<none> +80\/TCP/m],
      },
      { run: "get pods -n empty-place", code: 0, complains: ["No resources found in empty-place namespace."] },
      {
        run: "get pods -n shop --no-headers --show-labels",
        says: [/^web-\S+ +1\/1|^web-\S+ /, "app=web"],
        lacks: ["NAME"],
      },
      { run: "get pods -n shop --sort-by=.metadata.name -L app", says: [/APP\n/, / web\n/] },
    ],
  ],
  [
    "get: -o wide, yaml, json, name, jsonpath, custom-columns, go-template",
    [
      { run: "get deploy web -n shop -o wide", says: ["CONTAINERS", "IMAGES", "SELECTOR", "app=web"] },
      { run: "get deploy web -n shop -o yaml", says: [/^apiVersion: apps\/v1\nkind: Deployment\n/, "  replicas: 2\n"] },
      {
        run: "get deploy -n shop -o json",
        says: [/^\{\n {4}"apiVersion": "v1",\n {4}"items"/, '"kind": "Deployment"'],
      },
      { run: "get deploy,svc -n shop -o name", says: ["deployment.apps/web\n", "service/web\n"] },
      {
        run: "get deploy web -n shop -o jsonpath={.spec.selector.matchLabels.app}/{.status.readyReplicas}",
        says: [/^web\/2$/],
      },
      { run: "get deploy -n shop -o custom-columns=N:.metadata.name,R:.spec.replicas", says: [/^N +R\nweb +2\n/] },
      { run: "get deploy web -n shop -o go-template={{.metadata.name}}", says: [/^web$/] },
      { run: "get --raw /api/v1/namespaces/shop/services/web", says: ['"kind":"Service"'] },
    ],
  ],
  [
    "get: label and field selectors, chunks",
    [
      { run: "get pods -n shop -l app=web -o name", says: [/^(pod\/web-\S+\n){2}$/] },
      { run: "get pods -A -l app!=web,app", lacks: ["web-"], complains: ["No resources found"] },
      { run: "get pods -n shop --field-selector spec.nodeName=n1 -o name", says: [/^(pod\/web-\S+\n){2}$/] },
      { run: "get pods -n shop --field-selector status.phase!=Running", complains: ["No resources found"] },
      {
        run: "get pods -n shop --field-selector spec.color=red",
        code: 1,
        complains: ["field label not supported: spec.color"],
      },
      { run: "get pods -n shop --chunk-size=1 -o name", says: [/^(pod\/web-\S+\n){2}$/] },
    ],
  ],
  [
    "describe",
    [
      {
        run: "describe deploy web -n shop",
        says: [/^Name: +web$/m, /Replicas: +2 desired \| 2 updated \| 2 total \| 2 available/, "NewReplicaSet:"],
      },
      { run: "describe pod -n shop -l app=web", says: [/^Node: +n1/m, /^Status: +Running/m, "Containers:"] },
      {
        run: "describe svc web -n shop",
        says: [/^IP: +10\.110\./m, /^Port: +http +80\/TCP/m, /^Endpoints: +10\.10\.\d+\.\d+:80/m],
      },
      { run: "describe ns shop", says: [/^Status: +Active/m] },
      { run: "describe node n1", says: [/^Name: +n1/m] },
      { run: "describe virtualservice web -n shop", says: [/^Kind: +VirtualService/m, /Host: +web/] },
      { run: "describe configmap none -n shop", code: 1, complains: ['configmaps "none" not found'] },
    ],
  ],
  [
    "api-resources, api-versions, explain, version",
    [
      {
        run: "api-resources",
        says: [/^pods +po +v1 +true +Pod$/m, /^virtualservices +vs +networking\.istio\.io\/v1 +true +VirtualService$/m],
      },
      {
        run: "api-resources --namespaced=false -o name",
        says: ["nodes\n", "clusters.mesh.weft.dev\n"],
        lacks: ["pods"],
      },
      {
        run: "api-resources --categories=istio-io -o name",
        says: ["virtualservices.networking.istio.io"],
        lacks: ["deployments"],
      },
      { run: "api-resources", on: "mesh", says: ["virtualservices", "configmaps"], lacks: ["pods", "deployments"] },
      { run: "api-versions", says: [/^apps\/v1\n/m, /^networking\.istio\.io\/v1alpha3\n/m, /^v1\n/m] },
      {
        run: "explain deployment.spec.template.spec.containers.image",
        says: ["FIELD: image <string>", "KIND:       Deployment"],
      },
      {
        run: "explain vs.spec.http.route --api-version=networking.istio.io/v1beta1",
        says: ["VERSION:    v1beta1", "destination"],
      },
      { run: "explain svc --recursive", says: ["clusterIP", "targetPort"] },
      { run: "explain pod.spec.nothing", code: 1, complains: ['field "nothing" does not exist'] },
      { run: "version", says: ["Server Version: v1.36.0+weft"] },
      { run: "cluster-info", says: ["is running at"] },
    ],
  ],
  [
    "kinds that are only stored: Istio's policies, the Gateway API",
    [
      {
        run: "create -f - -n work",
        input:
          "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  hostnames: [a.b]\n",
        says: ["httproute.gateway.networking.k8s.io/r created"],
      },
      {
        run: "get httproute r -n work -o jsonpath={.spec.rules[0].matches[0].path.type}",
        on: "mesh",
        says: [/^PathPrefix$/],
      },
      { run: "get httproutes.v1beta1.gateway.networking.k8s.io -n work", says: [/^r +\["a\.b"\] +\d+s$/m] },
      {
        run: 'patch httproute r -n work --type=merge -p {"spec":{"hostnames":["A"]}}',
        code: 1,
        complains: ["spec.hostnames[0]: Invalid value"],
      },
      {
        run: "create -f - -n work",
        input:
          "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec: {mtls: {mode: X}}\n",
        code: 1,
        complains: ['spec.mtls.mode: Unsupported value: "X"'],
      },
      { run: "explain ap.spec.rules.when", says: ["GROUP:      security.istio.io", "notValues"] },
      { run: "explain gtw.spec.listeners --recursive", says: ["certificateRefs", "protocol"] },
      { run: "explain gateway.spec.servers", says: ["GROUP:      networking.istio.io"] },
      { run: "delete httproute r -n work", says: ["deleted"] },
    ],
  ],
  [
    "auth can-i, auth whoami",
    [
      { run: "auth can-i delete pods -n shop", says: [/^yes$/m] },
      { run: "auth can-i --list", says: [/^\*\.\* +\[\] +\[\] +\[\*\]$/m] },
      { run: "auth whoami", says: ["system:anonymous"] },
      { run: "auth can-i get vs", on: "mesh", says: [/^yes$/m] },
    ],
  ],
  [
    "create token",
    [
      { run: "create token default -n shop --audience istio-ca --duration 20m", says: [/^[\w-]+\.[\w-]+\.[\w-]+\n?$/] },
      {
        run: "create token default -n shop --bound-object-kind Node --bound-object-name n1 -o yaml",
        says: ["kind: TokenRequest", "expirationSeconds: 3600", "https://east.weft.internal", "kind: Node"],
      },
      {
        run: "create token default -n shop --duration 1m",
        code: 1,
        complains: ["may not specify a duration less than 10 minutes"],
      },
      { run: "create token nobody -n shop", code: 1, complains: ['serviceaccounts "nobody" not found'] },
    ],
  ],
  [
    "logs",
    [
      { run: "logs deploy/web -n shop", says: [/^main current line 1\n/, "line 5"] },
      {
        run: "logs deploy/web -n shop --tail=2 --timestamps",
        says: [/^2026-01-01T00:00:00Z main current line 4\n.*line 5\n$/],
      },
      { run: "logs -l app=web -n shop -c main --prefix", says: [/^\[pod\/web-\S+\/main\] main current line 1$/m] },
      { run: "logs deploy/web -n shop -f", says: [/line 5\nmain one more\n$/] },
      { run: "logs deploy/web -n shop --previous --since=1h", says: ["main previous line 1"] },
      { run: "logs deploy/web -n shop -c none", code: 1, complains: ["container none is not valid for pod web-"] },
    ],
  ],
];

const writing: readonly Row[] = [
  [
    "create: from files, by hand, with generated names; errors",
    [
      {
        run: "create -f -",
        input: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c1, namespace: work}\ndata: {a: b}\n",
        says: ["configmap/c1 created"],
      },
      { run: "create configmap c2 -n work --from-literal=k=v", says: ["configmap/c2 created"] },
      { run: "create configmap c2 -n work", code: 1, complains: ['configmaps "c2" already exists'] },
      {
        run: "create -f - -n work",
        input: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"gen-"}}',
        says: [/^configmap\/gen-[a-z0-9]{5} created\n$/],
      },
      { run: "create deployment made -n work --image=web --replicas=1", says: ["deployment.apps/made created"] },
      { run: "create secret generic s1 -n work --from-literal=password=x", says: ["secret/s1 created"] },
      { run: "get secret s1 -n work -o jsonpath={.data.password}", says: [/^eA==$/] },
      { run: "expose deployment made -n work --port=80", says: ["service/made exposed"] },
      { run: "create ns brief", says: ["namespace/brief created"] },
      { run: "create configmap lost -n nowhere", code: 1, complains: ['namespaces "nowhere" not found'] },
    ],
  ],
  [
    "apply: creates, leaves alone, changes, removes fields, prunes lists",
    [
      {
        run: "apply -f - -n work",
        input: apply("1", "FIRST"),
        says: ["deployment.apps/app created", "service/app created"],
      },
      {
        run: "apply -f - -n work",
        input: apply("1", "FIRST"),
        says: ["deployment.apps/app unchanged", "service/app unchanged"],
      },
      { run: "apply -f - -n work", input: apply("2", "SECOND"), says: ["deployment.apps/app configured"] },
      {
        run: "get deploy app -n work -o jsonpath={.spec.replicas}:{.spec.template.spec.containers[*].env[*].name}",
        says: [/^2:SECOND$/],
      },
      { run: "apply view-last-applied deploy/app -n work", says: ["replicas: 2"] },
      {
        run: "apply -f -",
        input: virtualService("applied", "work", "one"),
        says: ["virtualservice.networking.istio.io/applied created"],
      },
      {
        run: "apply -f -",
        on: "west",
        input: virtualService("applied", "work", "two"),
        says: ["virtualservice.networking.istio.io/applied configured"],
      },
      {
        run: "get vs applied -n work -o jsonpath={.spec.http[0].route[0].destination.host}",
        on: "mesh",
        says: [/^two$/],
      },
      { run: "delete -f - --wait", input: virtualService("applied", "work", "two"), says: ['"applied" deleted'] },
    ],
  ],
  [
    "apply --server-side: owners, conflicts, force",
    [
      {
        run: "apply --server-side -f -",
        input: virtualService("owned", "work", "one"),
        says: ["virtualservice.networking.istio.io/owned serverside-applied"],
      },
      {
        run: "apply --server-side --field-manager=robot -f -",
        input: virtualService("owned", "work", "two"),
        code: 1,
        complains: ['Apply failed with 1 conflict: conflict with "kubectl": .spec.http', "--force-conflicts"],
      },
      {
        run: "apply --server-side --field-manager=robot --force-conflicts --dry-run=server -f -",
        input: virtualService("owned", "work", "two"),
        says: ["serverside-applied (server dry run)"],
      },
      { run: "get vs owned -n work -o yaml", says: ["host: one"], lacks: ["managedFields"] },
      {
        run: "diff --server-side --field-manager=robot --force-conflicts -f -",
        input: virtualService("owned", "work", "two"),
        code: 1,
        says: ["-        host: one", "+        host: two"],
      },
      {
        run: "apply --server-side --field-manager=robot --force-conflicts -f -",
        input: virtualService("owned", "work", "two"),
        says: ["serverside-applied"],
      },
      {
        run: "get vs owned -n work -o jsonpath={.spec.http[0].route[0].destination.host}",
        on: "mesh",
        says: [/^two$/],
      },
      {
        run: "get vs owned -n work -o yaml --show-managed-fields",
        says: [
          /managedFields:\n.*f:spec:\n +f:hosts: \{\}\n +manager: kubectl\n +operation: Apply/s,
          /f:http: \{\}\n +manager: robot\n/,
        ],
      },
      {
        run: "apply --server-side -f -",
        input: virtualService("owned", "work", "two").replace("hosts:", "hostz:"),
        code: 1,
        complains: [".spec.hostz: field not declared in schema"],
      },
    ],
  ],
  [
    "apply, and from then on --server-side",
    [
      { run: "apply -f -", input: virtualService("passed", "work", "one"), says: ["created"] },
      { run: "apply --server-side -f -", input: virtualService("passed", "work", "two"), says: ["serverside-applied"] },
      {
        run: "get vs passed -n work -o yaml --show-managed-fields",
        says: ["host: two", /manager: kubectl\n +operation: Apply/],
        lacks: ["kubectl-client-side-apply"],
      },
      { run: "apply view-last-applied vs passed -n work", says: ["host: two"] },
      { run: "apply --server-side -f -", input: virtualService("passed", "work", "two"), says: ["serverside-applied"] },
      { run: "apply -f -", input: virtualService("passed", "work", "three"), says: ["configured"] },
      { run: "apply view-last-applied vs passed -n work", says: ["host: three"] },
      {
        run: "apply edit-last-applied vs passed -n work",
        env: editor("three", "four"),
        says: ["virtualservice.networking.istio.io/passed edited"],
      },
      { run: "apply view-last-applied vs passed -n work", says: ["host: four"] },
      { run: "get vs passed -n work -o yaml", says: ["host: three"] },
    ],
  ],
  [
    "apply --server-side beside scale and set",
    [
      { run: "apply --server-side -f - -n work", input: deployment("scaled", 1), says: ["serverside-applied"] },
      { run: "scale deploy scaled -n work --replicas=2", says: ["scaled"] },
      {
        run: "apply --server-side -f - -n work",
        input: deployment("scaled", 1),
        code: 1,
        complains: ['conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas'],
      },
      {
        run: "apply --server-side -f - -n work",
        input: deployment("scaled", 1).replace("  replicas: 1\n", ""),
        says: ["serverside-applied"],
      },
      { run: "get deploy scaled -n work -o jsonpath={.spec.replicas}", says: [/^2$/] },
      { run: "set env deploy/scaled -n work A=b", says: ["updated"] },
      {
        run: "apply --server-side -f - -n work",
        input: deployment("scaled", 1).replace("  replicas: 1\n", ""),
        says: ["serverside-applied"],
      },
      { run: "set env deploy/scaled -n work --list", says: ["A=b"] },
    ],
  ],
  [
    "dry runs and diff",
    [
      {
        run: "create -f - --dry-run=client -o yaml",
        input: virtualService("dry", "work", "a"),
        says: ["kind: VirtualService"],
      },
      {
        run: "create -f - --dry-run=server -o jsonpath={.metadata.uid}",
        input: virtualService("dry", "work", "a"),
        says: [/^[0-9a-f-]{36}$/],
      },
      {
        run: "apply -f - --dry-run=server",
        input: virtualService("dry", "work", "a"),
        says: ["dry created (server dry run)"],
      },
      { run: "get vs dry -n work", code: 1, complains: ['virtualservices.networking.istio.io "dry" not found'] },
      { run: "apply -f -", input: virtualService("dry", "work", "a"), says: ["created"] },
      {
        run: "diff -f -",
        input: virtualService("dry", "work", "b"),
        code: 1,
        says: [/^- +host: a$/m, /^\+ +host: b$/m],
      },
      { run: "diff -f -", input: virtualService("dry", "work", "a") },
      { run: "delete vs dry -n work --dry-run=server", says: ["(server dry run)"] },
      { run: "get vs dry -n work -o name", says: ["virtualservice.networking.istio.io/dry"] },
    ],
  ],
  [
    "edit",
    [
      { run: "apply -f - -n work", input: deployment("edited", 1), says: ["created"] },
      {
        run: "edit deploy edited -n work",
        env: editor("replicas:\\ 1", "replicas:\\ 2"),
        says: ["deployment.apps/edited edited"],
      },
      { run: "get deploy edited -n work -o jsonpath={.spec.replicas}", says: [/^2$/] },
      { run: "apply -f -", input: virtualService("edited", "work", "before"), says: ["created"] },
      { run: "edit vs edited -n work", env: editor("before", "after"), says: ["edited"] },
      { run: "get vs edited -n work -o jsonpath={.spec.http[0].route[0].destination.host}", says: [/^after$/] },
      { run: "edit vs edited -n work", env: { KUBE_EDITOR: "true" }, complains: ["Edit cancelled, no changes made."] },
    ],
  ],
  [
    "patch: JSON, merge, strategic, of the status",
    [
      { run: "apply -f - -n work", input: deployment("patched", 1), says: ["created"] },
      {
        run: 'patch deploy patched -n work -p {"spec":{"template":{"spec":{"containers":[{"name":"side","image":"proxy"}]}}}}',
        says: ["patched"],
      },
      {
        run: "get deploy patched -n work -o jsonpath={.spec.template.spec.containers[*].name}",
        says: [/^(main side|side main)$/],
      },
      {
        run: 'patch deploy patched -n work --type=json -p [{"op":"replace","path":"/spec/replicas","value":3}]',
        says: ["patched"],
      },
      {
        run: 'patch deploy patched -n work --type=merge -p {"spec":{"replicas":1},"metadata":{"labels":{"p":"q"}}}',
        says: ["patched"],
      },
      { run: 'patch deploy patched -n work --type=merge -p {"spec":{"replicas":1}}', says: ["patched (no change)"] },
      { run: "get deploy patched -n work -o jsonpath={.spec.replicas}{.metadata.labels.p}", says: [/^1q$/] },
      { run: 'patch node n1 --subresource=status --type=merge -p {"status":{"phase":"Running"}}', says: ["patched"] },
      {
        run: 'patch deploy patched -n work --type=merge -p {"spec":{"replicas":-1}}',
        code: 1,
        complains: ["spec.replicas: Invalid value"],
      },
    ],
  ],
  [
    "label, annotate, set, replace",
    [
      { run: "create configmap marked -n work", says: ["created"] },
      { run: "label cm marked -n work tier=front", says: ["configmap/marked labeled"] },
      { run: "label cm marked -n work tier=back", code: 1, complains: ["already has a value"] },
      { run: "label cm marked -n work tier=back --overwrite", says: ["labeled"] },
      { run: "label cm marked -n work tier-", says: ["unlabeled"] },
      { run: "annotate cm marked -n work example.com/a=b", says: ["configmap/marked annotated"] },
      {
        run: "get cm marked -n work -o jsonpath={.metadata.labels}{.metadata.annotations}",
        says: [/^\{"example.com\/a":"b"\}$/],
      },
      { run: "label cm marked -n work tier=-wrong-", code: 1, complains: [/invalid label value|Invalid value/] },
      { run: "apply -f - -n work", input: deployment("set", 1), says: ["created"] },
      { run: "set image deploy/set -n work main=other", says: ["image updated"] },
      { run: "set env deploy/set -n work A=B", says: ["env updated"] },
      {
        run: "get deploy set -n work -o jsonpath={.spec.template.spec.containers[0].image}{.spec.template.spec.containers[0].env[0].value}",
        says: [/^otherB$/],
      },
      { run: "apply -f - -n work", input: service("replaced"), says: ["created"] },
      {
        run: "replace -f - -n work",
        input: service("replaced").replace("port: 80", "port: 81"),
        says: ["service/replaced replaced"],
      },
      {
        run: "replace -f - -n work",
        input: deployment("none", 1),
        code: 1,
        complains: ['deployments.apps "none" not found'],
      },
    ],
  ],
  [
    "errors tell the field and the reason",
    [
      {
        run: "create -f - -n work",
        input: deployment("bad", 1).replace("app: bad}}\n  template", "app: other}}\n  template"),
        code: 1,
        complains: [/The Deployment "bad" is invalid: spec\.template\.metadata\.labels/],
      },
      {
        run: "create -f -",
        input: virtualService("bad", "work", "a").replace("hosts", "hostz"),
        code: 1,
        complains: ['unknown field "spec.hostz"'],
      },
      {
        run: "apply -f - -n work",
        input: deployment("bad", 1).replace("replicas: 1", "replicas: many"),
        code: 1,
        complains: [/spec\.replicas/],
      },
      { run: "create configmap Bad_Name -n work", code: 1, complains: [/metadata\.name/] },
      { run: "get widgets", code: 1, complains: [`the server doesn't have a resource type "widgets"`] },
      {
        run: "get deploy none -n work",
        code: 1,
        complains: ['Error from server (NotFound): deployments.apps "none" not found'],
      },
      {
        run: "create -f - -n work --validate=false",
        input: deployment("loose", 1).replace("replicas: 1", "replicas: 1\n  color: red"),
        says: ["created"],
      },
      {
        run: "create -f - -n work --validate=warn",
        input: deployment("warned", 1).replace("replicas: 1", "replicas: 1\n  color: red"),
        says: ["created"],
        complains: ['Warning: unknown field "spec.color"'],
      },
    ],
  ],
];

const following: readonly Row[] = [
  [
    "get -w",
    [
      {
        run: "get cm -n work -w -l watched=yes -v=6",
        until: /late +1 .*\n.*late +2 /s,
        meanwhile: [
          { run: "create cm late -n work --from-literal=a=1", says: ["created"] },
          { run: "label cm late -n work watched=yes", says: ["labeled"] },
          { run: 'patch cm late -n work --type=merge -p {"data":{"b":"2"}}', says: ["patched"] },
        ],
      },
      { run: "get cm late -n work --watch --output-watch-events -o name", until: /configmap\/late/ },
    ],
  ],
  [
    "wait",
    [
      {
        run: "wait deploy/web -n shop --for=condition=Available --timeout=10s",
        says: ["deployment.apps/web condition met"],
      },
      { run: "create cm waited -n work", says: ["created"] },
      {
        run: "wait cm/waited -n work --for=delete --timeout=20s -v=6",
        says: ["condition met"],
        meanwhile: [{ run: "delete cm waited -n work", says: ["deleted"] }],
      },
      { run: "wait ns/shop --for=jsonpath={.status.phase}=Active --timeout=5s", says: ["condition met"] },
      { run: "wait pod -n shop -l app=web --for=condition=Nothing --timeout=1s", code: 1, complains: ["timed out"] },
    ],
  ],
  [
    "scale, rollout status, history, restart, undo",
    [
      { run: "apply -f - -n work", input: deployment("rolled", 1), says: ["created"] },
      { run: "rollout status deploy/rolled -n work --timeout=20s", says: ["successfully rolled out"] },
      { run: "scale deploy/rolled -n work --replicas=3", says: ["deployment.apps/rolled scaled"] },
      {
        run: "scale deploy/rolled -n work --replicas=2 --current-replicas=7",
        code: 1,
        complains: ["Expected replicas to be 7, was 3"],
      },
      { run: "rollout status deploy/rolled -n work --timeout=20s", says: ["successfully rolled out"] },
      { run: "get deploy rolled -n work -o jsonpath={.status.readyReplicas}", says: [/^3$/] },
      { run: "rollout restart deploy/rolled -n work", says: ["deployment.apps/rolled restarted"] },
      { run: "rollout status deploy/rolled -n work --timeout=20s", says: ["successfully rolled out"] },
      { run: "rollout history deploy/rolled -n work", says: [/^1 /m, /^2 /m] },
      { run: "rollout history deploy/rolled -n work --revision=2", says: ["kubectl.kubernetes.io/restartedAt"] },
      { run: "rollout undo deploy/rolled -n work", says: ["rolled back"] },
      { run: "rollout status deploy/rolled -n work --timeout=20s", says: ["successfully rolled out"] },
      { run: "rollout pause deploy/rolled -n work", says: ["paused"] },
      { run: "rollout resume deploy/rolled -n work", says: ["resumed"] },
      { run: "scale rs -n work -l app=none --replicas=1", code: 1, complains: ["no objects passed to scale"] },
    ],
  ],
  [
    "delete: waits for what is owned, by selector, orphans, of what is not there",
    [
      { run: "apply -f - -n work", input: deployment("doomed", 2), says: ["created"] },
      { run: "rollout status deploy/doomed -n work --timeout=20s", says: ["successfully rolled out"] },
      { run: "delete deploy doomed -n work --cascade=foreground", says: ['"doomed" deleted'] },
      { run: "get rs,pod -n work -l app=doomed", complains: ["No resources found"] },
      { run: "apply -f - -n work", input: deployment("parent", 1), says: ["created"] },
      { run: "rollout status deploy/parent -n work --timeout=20s", says: ["successfully rolled out"] },
      { run: "delete deploy parent -n work --cascade=orphan", says: ["deleted"] },
      { run: "get rs -n work -l app=parent -o name", says: ["replicaset.apps/parent-"] },
      { run: "delete rs,pod -n work -l app=parent --wait=true", says: ["replicaset.apps", "deleted"] },
      { run: "delete cm nothing -n work", code: 1, complains: ['configmaps "nothing" not found'] },
      { run: "delete cm nothing -n work --ignore-not-found" },
      { run: "create cm one-of-many -n work", says: ["created"] },
      { run: "delete cm --all -n work", says: ['"one-of-many" deleted'] },
    ],
  ],
  [
    "a namespace goes with all that is in it",
    [
      { run: "create ns leaving", says: ["created"] },
      { run: "apply -f - -n leaving", input: apply("1", "FIRST"), says: ["created"] },
      { run: "rollout status deploy/app -n leaving --timeout=20s", says: ["successfully rolled out"] },
      { run: "delete ns leaving", says: ['"leaving" deleted'] },
      { run: "get ns leaving", code: 1, complains: ['namespaces "leaving" not found'] },
      { run: "create ns leaving", says: ["created"] },
      { run: "get deploy,svc,pod -n leaving", complains: ["No resources found"] },
    ],
  ],
];

const endpoints: readonly Row[] = [
  [
    "the mesh's objects are one through every endpoint; a cluster's are its own",
    [
      { run: "apply -f -", on: "mesh", input: virtualService("everywhere", "work", "a"), says: ["created"] },
      { run: "get vs everywhere -n work -o jsonpath={.metadata.uid}", on: "west", says: [/^[0-9a-f-]{36}$/] },
      {
        run: "get virtualservices.v1alpha3.networking.istio.io everywhere -n work -o yaml",
        says: ["apiVersion: networking.istio.io/v1alpha3"],
      },
      { run: 'patch vs everywhere -n work --type=merge -p {"spec":{"hosts":["b"]}}', on: "west", says: ["patched"] },
      { run: "get vs -n work", on: "mesh", says: [/^NAME +GATEWAYS +HOSTS +AGE/, /everywhere .*\["b"\]/] },
      { run: "label vs everywhere -n work x=y", says: ["labeled"] },
      {
        run: "get vs -n work -w -v=6",
        on: "mesh",
        until: /everywhere(.*\n)+.*everywhere/,
        meanwhile: [{ run: 'patch vs everywhere -n work --type=merge -p {"spec":{"hosts":["c"]}}', says: ["patched"] }],
      },
      { run: "delete vs everywhere -n work", on: "mesh", says: ["deleted"] },
      { run: "get vs everywhere -n work", on: "west", code: 1, complains: ["not found"] },
      { run: "create cm mine -n work", on: "west", says: ["created"] },
      { run: "get cm mine -n work", code: 1, complains: ["not found"] },
      { run: "get cm mine -n work", on: "mesh", code: 1, complains: ["not found"] },
      { run: "get pods", on: "mesh", code: 1, complains: [`doesn't have a resource type "pods"`] },
      { run: "get meshes,clusters", on: "mesh", complains: ["No resources found"] },
      { run: "explain mesh.spec", on: "mesh", says: ["KIND:       Mesh"] },
    ],
  ],
];

/** What every kubectl is tried on, in order; each row leaves behind nothing that a later one minds. */
export const table: readonly Row[] = [...reading, ...writing, ...following, ...endpoints];
