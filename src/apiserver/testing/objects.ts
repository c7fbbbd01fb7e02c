import type { Answer, TestServer } from "./server.ts";

/** A ConfigMap to submit. */
export function configMap(name: string, extra: object = {}, metadata: object = {}): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...metadata }, data: { a: "1" }, ...extra };
}

/** A Deployment to submit. */
export function deployment(name: string, spec: object = {}): object {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "main", image: "web" }] } },
      ...spec,
    },
  };
}

/** A Pod to submit. */
export function pod(name: string, spec: object = {}, metadata: object = {}): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...metadata },
    spec: { containers: [{ name: "main", image: "web", ports: [{ containerPort: 8080 }] }], ...spec },
  };
}

/** A Service to submit. */
export function service(name: string, spec: object = {}): object {
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } };
}

/** Creates an object and expects that to work. */
export async function created(server: TestServer, endpoint: string, path: string, body: object): Promise<Answer> {
  const answer = await server.ask(endpoint, path, { method: "POST", body });
  if (answer.status !== 201) throw new Error(`creating at ${path} answered ${answer.status}: ${answer.text}`);
  return answer;
}

/** Makes a namespace at an endpoint. */
export function createNamespace(server: TestServer, endpoint: string, name: string): Promise<Answer> {
  return created(server, endpoint, "/api/v1/namespaces", { metadata: { name } });
}
