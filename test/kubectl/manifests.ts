/** A Deployment of some Pods with one container. */
export function deployment(name: string, replicas: number): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers:
      - {name: main, image: web, ports: [{containerPort: 80}]}
`;
}

/** A Service of the Pods of the same name. */
export function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 80}]}
`;
}

/** A Deployment whose Pods have one variable of the environment, with its Service. */
export function apply(replicas: string, variable: string): string {
  const env = `env: [{name: ${variable}, value: "1"}]`;
  return `${deployment("app", Number(replicas)).replace("image: web", `image: web, ${env}`)}---\n${service("app")}`;
}

/** A VirtualService that sends all calls to a host. */
export function virtualService(name: string, namespace: string, host: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [a.example.com]
  http:
  - route:
    - destination:
        host: ${host}
`;
}
