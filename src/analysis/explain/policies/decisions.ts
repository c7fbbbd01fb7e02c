import { type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { ObjectRef } from "#api/meta.ts";
import { type RBAC, RBAC_Action as Action } from "#proto/gen/envoy/config/rbac/v3/rbac_pb.js";
import { JwtAuthenticationSchema } from "#proto/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { RBACSchema as HttpRbacSchema } from "#proto/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { RBACSchema as NetworkRbacSchema } from "#proto/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { externalStatPrefix } from "#translate/authorization/external.ts";
import { parseRuleName, type RuleName } from "#translate/authorization/rbac.ts";
import { proxyView } from "#translate/proxy-class.ts";
import { labelsMatch } from "#model/labels.ts";
import { only } from "#model/services.ts";
import type { MeshProxy } from "../../diff.ts";
import type { ExplainContext } from "../context.ts";
import type { Reason, Step } from "../explanation.ts";
import type { Call } from "./call.ts";
import { metBy, type Met } from "./rbac.ts";
import { tokenVerdict } from "./tokens.ts";

/** What policies do with a call. */
export interface Decided {
  readonly steps: readonly Step[];
  /** The policies let it through, as far as can be told. */
  readonly allowed: boolean;
  /** The call as it goes on: with what its token says, and the headers that verifying it changed. */
  readonly call: Call;
}

/** A filter with its configuration. */
interface Configured {
  readonly configType: { readonly case?: string | undefined; readonly value?: unknown };
}

interface Tried {
  readonly rules?: RBAC | undefined;
  readonly shadowRules?: RBAC | undefined;
  readonly shadowRulesStatPrefix: string;
}

function policyRef({ namespace, name }: RuleName): ObjectRef {
  return { group: "security.istio.io", kind: "AuthorizationPolicy", name, namespace };
}

/** Works out what filters of policies do with one call, in Envoy's order. */
class Decision {
  readonly steps: Step[] = [];
  allowed = true;
  call: Call;
  readonly #context: ExplainContext;
  /** Whose policies they are. */
  readonly #proxy: MeshProxy;
  /** What a refusal is to the caller. */
  readonly #refusal: string;

  constructor(context: ExplainContext, proxy: MeshProxy, call: Call) {
    this.#context = context;
    this.#proxy = proxy;
    this.call = call;
    this.#refusal = call.headers ? "refused with 403" : "closed";
  }

  /** Takes a filter's part in it, if it has one. */
  take(any: Any): void {
    const unpacked = <D extends DescMessage>(schema: D): MessageShape<D> | undefined => anyUnpack(any, schema);
    const tokens = unpacked(JwtAuthenticationSchema);
    if (tokens) this.#verify(tokens);
    const rbac = unpacked(HttpRbacSchema) ?? unpacked(NetworkRbacSchema);
    if (rbac) this.#authorize(rbac);
  }

  #say(text: string, because: readonly Reason[]): void {
    this.steps.push({ name: "policy", text, because });
  }

  #verify(config: MessageShape<typeof JwtAuthenticationSchema>): void {
    const verdict = tokenVerdict(config, this.call, this.#context.now);
    if (verdict.kind === "good") {
      this.#say(`the token of ${verdict.issuer} is good`, this.#tokenRules(verdict.issuer));
      const changed = verdict.taken.map(
        (name) => [name, { needs: `the header ${name}, which verifying changes` }] as const,
      );
      this.call = {
        ...this.call,
        claims: verdict.claims,
        headers: new Map([...(this.call.headers ?? []), ...changed]),
      };
    } else if (verdict.kind === "unknown") {
      this.#say(`whether the token is good depends on ${verdict.unknown.needs}; else refused with 401`, []);
      this.call = { ...this.call, claims: verdict.unknown };
    } else if (verdict.kind === "refused") {
      this.#refuse(`refused with ${verdict.status}: ${verdict.why}`, this.#tokenRules(verdict.issuer));
    }
  }

  /** The rules for tokens of an issuer, of RequestAuthentications that may be for the proxy. */
  #tokenRules(issuer: string | undefined): readonly Reason[] {
    const { model } = this.#context.mesh;
    const { namespace, labels } = proxyView(this.#proxy.node);
    const places = [...new Set([model.services.mesh.get(only).rootNamespace, namespace])];
    const rows = places.flatMap((place) => model.tables.requestAuthentications.byNamespace.rows(place));
    return rows
      .filter(({ spec }) => labelsMatch(spec.selector?.matchLabels ?? {}, labels))
      .flatMap(({ ref, spec: { jwtRules = [] } }) =>
        jwtRules.flatMap((rule, at) =>
          rule.issuer === issuer ? [this.#context.cite(ref, `spec.jwtRules[${at}].issuer`)] : [],
        ),
      );
  }

  #refuse(text: string, because: readonly Reason[]): void {
    this.#say(text, because);
    this.allowed = false;
  }

  #authorize({ rules, shadowRules, shadowRulesStatPrefix }: Tried): void {
    if (shadowRules && shadowRulesStatPrefix === externalStatPrefix) this.#ask(shadowRules);
    else if (shadowRules) this.#rehearse(shadowRules);
    if (rules) this.#carryOut(rules);
  }

  #reasons({ rule }: Met): readonly Reason[] {
    const name = rule === undefined ? undefined : parseRuleName(rule);
    return name ? [this.#context.cite(policyRef(name), `spec.rules[${name.rule}]`)] : [];
  }

  /** The policies of some rules. */
  #policies({ policies }: RBAC): readonly Reason[] {
    const names = Object.keys(policies).flatMap((each) => parseRuleName(each) ?? []);
    const distinct = new Map(names.map((name) => [`${name.namespace}/${name.name}`, name]));
    return [...distinct.values()].map((name) => this.#context.cite(policyRef(name), ""));
  }

  #ask(rules: RBAC): void {
    const met = metBy(rules, this.call);
    if (met.truth === false || met.rule === undefined) return;
    const provider = parseRuleName(met.rule)?.provider ?? "";
    const when = met.truth === true ? "" : `, where the rule is met, which depends on ${met.truth.needs}`;
    this.#say(`the external authorizer ${provider} is asked, and may refuse it${when}`, this.#reasons(met));
  }

  /** What rules that are only tried out would do. */
  #rehearse(rules: RBAC): void {
    const met = metBy(rules, this.call);
    const denies = rules.action === Action.DENY;
    const because = met.truth === false ? this.#policies(rules) : this.#reasons(met);
    if (typeof met.truth !== "boolean") {
      this.#say(`what is tried out (dry run) depends on ${met.truth.needs}`, because);
    } else if (denies ? met.truth : !met.truth) this.#say(`would be ${this.#refusal} (dry run)`, because);
    else if (!denies) this.#say("would be allowed (dry run)", because);
  }

  #carryOut(rules: RBAC): void {
    const met = metBy(rules, this.call);
    const [{ truth }, refusal] = [met, this.#refusal];
    if (rules.action === Action.LOG) {
      if (truth !== false) this.#say("noted by AUDIT, and let through", this.#reasons(met));
    } else if (rules.action === Action.DENY) {
      if (truth === true) this.#refuse(`${refusal}: a rule that denies is met`, this.#reasons(met));
      else if (truth !== false)
        this.#say(`${refusal} where a rule that denies is met, which depends on ${truth.needs}`, this.#reasons(met));
    } else if (truth === true) this.#say("allowed", this.#reasons(met));
    else if (truth === false) this.#refuse(`${refusal}: no rule that allows is met`, this.#policies(rules));
    else this.#say(`${refusal} unless a rule that allows is met, which depends on ${truth.needs}`, this.#reasons(met));
  }
}

/** What the filters of a proxy's policies do with a call, in their order, until one refuses it. */
export function decisions(
  context: ExplainContext,
  proxy: MeshProxy,
  filters: readonly Configured[],
  call: Call,
): Decided {
  const decision = new Decision(context, proxy, call);
  for (const { configType } of filters) {
    if (configType.case === "typedConfig" && decision.allowed) decision.take(configType.value as Any);
  }
  const { steps, allowed, call: after } = decision;
  return { steps, allowed, call: after };
}
