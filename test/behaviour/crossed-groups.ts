import type { Group } from "./policy-matrix.ts";
import { refusals } from "./token-groups.ts";

/**
 * Policies that ask both for the caller's certificate and for the request's token. Headings are those of Istio's reference
 * pages "Authorization Policy", "Authorization Policy Conditions" and "Request Authentication". Callers: `cart` and `till`
 * (workloads `cluster.local/ns/shop/sa/cart` and `cluster.local/ns/bank/sa/till`, by the mesh's mutual TLS), `uncertified` (a
 * workload whose proxy has no certificate), `plain` (none of the mesh). Tokens are those of `token-groups.ts`: `good` is
 * alice's, `admin` is root's, of the groups staff and admins and for the audience bank too.
 */
export const crossedGroups: readonly Group[] = [
  {
    heading: "Source",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { principals: [cluster.local/ns/shop/sa/cart], requestPrincipals: [issuer.example/alice] } }] }]",
      ],
    ],
    rows: `
      cart GET / authorization=bearer:good -> allowed
      cart GET / authorization=bearer:admin -> denied
      cart GET / x-other=token:other -> denied
      cart GET / -> denied
      cart GET / authorization=bearer:expired -> ${refusals.expired}
      cart GET / authorization=bearer:tampered -> ${refusals.tampered}
      cart GET / authorization=bearer:none -> ${refusals.none}
      till GET / authorization=bearer:good -> denied
      till GET / authorization=bearer:admin -> denied
      till GET / -> denied
      till GET / authorization=bearer:stranger -> ${refusals.stranger}
      uncertified GET / authorization=bearer:good -> denied
      plain GET / authorization=bearer:good -> denied
      plain GET / authorization=bearer:audience -> ${refusals.audience}`,
  },
  {
    heading: "Rule.From",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { principals: [cluster.local/ns/shop/sa/cart] } }, { source: { requestPrincipals: [issuer.example/root] } }] }]",
      ],
    ],
    rows: `
      cart GET / -> allowed
      cart GET / authorization=bearer:good -> allowed
      cart GET / authorization=bearer:expired -> ${refusals.expired}
      till GET / authorization=bearer:admin -> allowed
      till GET / authorization=bearer:good -> denied
      till GET / -> denied
      uncertified GET / authorization=bearer:admin -> allowed
      uncertified GET / -> denied
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied
      plain GET / authorization=bearer:early -> ${refusals.early}`,
  },
  {
    heading: "Condition",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { namespaces: [bank] } }], when: [{ key: 'request.auth.claims[groups]', values: [staff] }] }]",
      ],
    ],
    rows: `
      till GET / authorization=bearer:admin -> allowed
      till GET / authorization=bearer:good -> denied
      till GET / -> denied
      till GET / authorization=bearer:issuer -> ${refusals.issuer}
      cart GET / authorization=bearer:admin -> denied
      cart GET / authorization=bearer:good -> denied
      uncertified GET / authorization=bearer:admin -> denied
      plain GET / authorization=bearer:admin -> denied`,
  },
  {
    heading: "Condition",
    policies: [
      [
        "DENY",
        "[{ from: [{ source: { namespaces: [shop] } }], when: [{ key: 'request.auth.claims[groups]', notValues: [staff] }] }]",
      ],
    ],
    rows: `
      cart GET / authorization=bearer:admin -> allowed
      cart GET / authorization=bearer:good -> denied
      cart GET / -> denied
      till GET / authorization=bearer:good -> allowed
      till GET / -> allowed
      plain GET / authorization=bearer:good -> allowed
      plain GET / authorization=bearer:garbage -> ${refusals.garbage}`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { principals: ['*'], notRequestPrincipals: ['*'] } }] }]"]],
    rows: `
      cart GET / -> allowed
      till GET / -> allowed
      cart GET / authorization=bearer:good -> denied
      till GET / authorization=bearer:admin -> denied
      uncertified GET / -> denied
      plain GET / -> denied
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { notPrincipals: ['*'], notRequestPrincipals: ['*'] } }] }]"]],
    rows: `
      cart GET / -> allowed
      cart GET / authorization=bearer:good -> allowed
      uncertified GET / authorization=bearer:good -> allowed
      plain GET / authorization=bearer:admin -> allowed
      uncertified GET / -> denied
      plain GET / -> denied
      uncertified GET / authorization=bearer:nosig -> ${refusals.nosig}`,
  },
  {
    heading: "Condition",
    policies: [
      [
        "ALLOW",
        "[{ when: [{ key: source.principal, values: [cluster.local/ns/shop/sa/cart] }, { key: request.auth.principal, values: ['issuer.example/*'] }] }]",
      ],
    ],
    rows: `
      cart GET / authorization=bearer:good -> allowed
      cart GET / authorization=bearer:admin -> allowed
      cart GET / x-other=token:other -> denied
      cart GET / -> denied
      till GET / authorization=bearer:good -> denied
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { serviceAccounts: [bank/till] } }], when: [{ key: request.auth.audiences, values: [bank] }] }]",
      ],
    ],
    rows: `
      till GET / authorization=bearer:admin -> allowed
      till GET / authorization=bearer:good -> denied
      till GET / authorization=bearer:audience -> ${refusals.audience}
      cart GET / authorization=bearer:admin -> denied`,
  },
];
