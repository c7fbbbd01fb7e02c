import { Engine } from "#incremental/engine.ts";
import type { Table } from "#incremental/table.ts";
import { sameResource, type EncodedResource, type TypeUrl } from "#proto/encoded.ts";
import type { ProxyNode, ProxyScopes, ResourceSource, ScopedName } from "../port.ts";

interface Row {
  readonly scope: string;
  readonly resource: EncodedResource;
}

/** A source over one table of resources and one of classes' scopes: what a test or a benchmark edits. */
export class TableSource implements ResourceSource {
  readonly engine = new Engine();
  readonly scopes;
  readonly names;
  readonly resource;
  readonly #rows: Table<Row>;
  readonly #classes: Table<ProxyScopes>;
  readonly #classOf: (node: ProxyNode) => string;
  readonly #hostless: (configuration: string) => boolean;

  /** @param hostless whether the virtual hosts of a route configuration come apart. */
  constructor(
    classOf: (node: ProxyNode) => string = () => "all",
    hostless: (configuration: string) => boolean = () => true,
  ) {
    const { engine } = this;
    this.#classOf = classOf;
    this.#hostless = hostless;
    const rows = engine.table<Row>("resources", (a, b) => sameResource(a.resource, b.resource));
    const classes = engine.table<ProxyScopes>("classes");
    const byScope = rows.index("scope", (row) => [row.scope]);
    this.#rows = rows;
    this.#classes = classes;
    this.scopes = engine.stringQuery("scopes", (name): ProxyScopes => classes.get(name) ?? ({} as ProxyScopes));
    this.names = engine.stringQuery("names", (scope): readonly string[] =>
      byScope.keys(scope).map((key) => key.slice(scope.length + 1)),
    );
    this.resource = engine.query<ScopedName, EncodedResource | undefined>({
      name: "resource",
      key: ({ scope, name }) => `${scope}\n${name}`,
      compute: ({ scope, name }) => rows.get(`${scope}\n${name}`)?.resource,
      equal: sameResource,
    });
  }

  classOf(node: ProxyNode): string {
    return this.#classOf(node);
  }

  hostScope(scope: string, configuration: string): string | undefined {
    return this.#hostless(configuration) ? `${scope} ${configuration}` : undefined;
  }

  /** Sets a class's scopes; types left out have none. */
  setScopes(name: string, scopes: Partial<Record<TypeUrl, readonly string[]>>): void {
    this.#classes.set(name, scopes as ProxyScopes);
  }

  set(scope: string, resource: EncodedResource): void {
    this.#rows.set(`${scope}\n${resource.name}`, { scope, resource });
  }

  delete(scope: string, name: string): void {
    this.#rows.delete(`${scope}\n${name}`);
  }

  /** Several edits as one change. */
  change(edit: () => void): void {
    this.engine.change(edit);
  }
}
