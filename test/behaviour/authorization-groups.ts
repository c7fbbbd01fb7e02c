import type { Group } from "./policy-matrix.ts";

/**
 * Headings are those of Istio's reference pages "Authorization Policy" and "Authorization Policy Conditions", and of its
 * page of concepts "Security". Callers: `plain` and `carter` (in clear text, from addresses 10.10.0.1 and 10.10.15.1),
 * `anonymous` (TLS without a certificate), and those with certificates: `cart` and `till` (`cluster.local/ns/shop/sa/cart`,
 * `cluster.local/ns/bank/sa/till`), `former` (`old.example/ns/shop/sa/cart`, an alias of the mesh's trust domain),
 * `foreign` (`foreign.example/ns/shop/sa/cart`).
 */
const sources: readonly Group[] = [
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { principals: [cluster.local/ns/shop/sa/cart] } }] }]"]],
    rows: `
      cart GET / -> allowed
      till GET / -> denied
      foreign GET / -> denied
      anonymous GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { notPrincipals: [cluster.local/ns/shop/sa/cart] } }] }]"]],
    rows: `
      cart GET / -> denied
      till GET / -> allowed
      foreign GET / -> allowed
      anonymous GET / -> allowed
      plain GET / -> allowed`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { notPrincipals: [cluster.local/ns/bank/sa/till] } }] }]"]],
    rows: `
      till GET / -> allowed
      cart GET / -> denied
      anonymous GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { namespaces: [shop] } }] }]"]],
    rows: `
      cart GET / -> allowed
      former GET / -> allowed
      foreign GET / -> allowed
      till GET / -> denied
      anonymous GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { notNamespaces: [shop] } }] }]"]],
    rows: `
      cart GET / -> allowed
      till GET / -> denied
      anonymous GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", '[{ from: [{ source: { namespaces: ["*"] } }] }]']],
    rows: `
      cart GET / -> denied
      till GET / -> denied
      anonymous GET / -> allowed
      plain GET / -> allowed`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { serviceAccounts: [cart] } }] }]"]],
    rows: `
      cart GET / -> allowed
      former GET / -> allowed
      till GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { serviceAccounts: [bank/till] } }] }]"]],
    rows: `
      till GET / -> allowed
      cart GET / -> denied
      anonymous GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { notServiceAccounts: [bank/till, cart] } }] }]"]],
    rows: `
      till GET / -> allowed
      cart GET / -> allowed
      anonymous GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { trustDomains: [foreign.example] } }] }]"]],
    rows: `
      foreign GET / -> allowed
      cart GET / -> denied
      former GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { trustDomains: [cluster.local] } }] }]"]],
    rows: `
      cart GET / -> allowed
      till GET / -> allowed
      former GET / -> allowed
      foreign GET / -> denied
      anonymous GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", '[{ from: [{ source: { notTrustDomains: ["*.example"] } }] }]']],
    rows: `
      foreign GET / -> allowed
      former GET / -> allowed
      cart GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { ipBlocks: [10.10.0.1] } }] }]"]],
    rows: `
      plain GET / -> allowed
      cart GET / -> allowed
      carter GET / -> denied
      carter GET / x-forwarded-for=10.10.0.1 -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { ipBlocks: [10.10.15.0/24] } }] }]"]],
    rows: `
      plain GET / -> allowed
      plain GET / x-forwarded-for=10.10.15.1 -> allowed
      carter GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { notIpBlocks: [10.10.15.0/24] } }] }]"]],
    rows: `
      carter GET / -> allowed
      plain GET / -> denied
      cart GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { remoteIpBlocks: [192.0.2.0/24] } }] }]"]],
    rows: `
      plain GET / x-forwarded-for=192.0.2.7 -> allowed
      plain GET / x-forwarded-for=203.0.113.1,192.0.2.7 -> allowed
      plain GET / x-forwarded-for=192.0.2.7,203.0.113.1 -> denied
      plain GET / x-forwarded-for=203.0.113.1 -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { notRemoteIpBlocks: [192.0.2.0/24, 2001:db8::/32] } }] }]"]],
    rows: `
      plain GET / x-forwarded-for=192.0.2.7 -> allowed
      plain GET / x-forwarded-for=2001:db8::7 -> allowed
      plain GET / x-forwarded-for=2001:db9::7 -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [
      ["ALLOW", "[{ from: [{ source: { namespaces: [shop], notPrincipals: [foreign.example/ns/shop/sa/cart] } }] }]"],
    ],
    rows: `
      cart GET / -> allowed
      foreign GET / -> denied
      till GET / -> denied`,
  },
];

const values: readonly Group[] = [
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ from: [{ source: { principals: ["*"] } }] }]']],
    rows: `
      cart GET / -> allowed
      till GET / -> allowed
      foreign GET / -> allowed
      anonymous GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ from: [{ source: { principals: ["*/sa/cart"] } }] }]']],
    rows: `
      cart GET / -> allowed
      foreign GET / -> allowed
      till GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ from: [{ source: { principals: ["cluster.local/ns/bank/*"] } }] }]']],
    rows: `
      till GET / -> allowed
      cart GET / -> denied
      anonymous GET / -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ from: [{ source: { namespaces: ["ba*"] } }] }]']],
    rows: `
      till GET / -> allowed
      cart GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ from: [{ source: { namespaces: ["*op"] } }] }]']],
    rows: `
      cart GET / -> allowed
      till GET / -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ to: [{ operation: { paths: ["/test/*"] } }] }]']],
    rows: `
      plain GET /test/ -> allowed
      plain GET /test/a/b -> allowed
      plain GET /test -> denied
      plain GET /testing -> denied
      plain GET /a/test/b -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ to: [{ operation: { paths: ["*/info"] } }] }]']],
    rows: `
      plain GET /info -> allowed
      plain GET /a/b/info -> allowed
      plain GET /info?x=1 -> allowed
      plain GET /info/ -> denied
      plain GET /information -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", '[{ to: [{ operation: { paths: ["*"] } }] }]']],
    rows: `
      plain GET / -> allowed
      plain GET /a -> allowed`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", "[{ to: [{ operation: { paths: ['/foo/{*}'] } }] }]"]],
    rows: `
      plain GET /foo/bar -> allowed
      plain GET /foo/bar/baz -> denied
      plain GET /foo/ -> denied
      plain GET /foo -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["ALLOW", "[{ to: [{ operation: { paths: ['/foo/{**}/'] } }] }]"]],
    rows: `
      plain GET /foo/bar/ -> allowed
      plain GET /foo/bar/baz/ -> allowed
      plain GET /foo/bar -> denied
      plain GET /other/bar/ -> denied`,
  },
  {
    heading: "Value matching",
    policies: [["DENY", "[{ to: [{ operation: { paths: ['/store/{*}/cart/{**}'] } }] }]"]],
    rows: `
      plain GET /store/1/cart/a/b -> denied
      plain GET /store/1/cart/a -> denied
      plain GET /store/1/2/cart/a -> allowed
      plain GET /store/1/basket/a -> allowed`,
  },
  {
    heading: "Value matching",
    policies: [["DENY", "[{ to: [{ operation: { notPaths: ['/open/{*}'] } }] }]"]],
    rows: `
      plain GET /open/door -> allowed
      plain GET /open/door/wide -> denied
      plain GET /shut -> denied`,
  },
];

const operations: readonly Group[] = [
  {
    heading: "Operation",
    policies: [["ALLOW", "[{ to: [{ operation: { methods: [GET, HEAD] } }] }]"]],
    rows: `
      plain GET / -> allowed
      cart GET / -> allowed
      plain POST / -> denied
      plain DELETE / -> denied
      cart PUT / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["DENY", "[{ to: [{ operation: { notMethods: [GET] } }] }]"]],
    rows: `
      plain GET / -> allowed
      plain POST / -> denied
      plain OPTIONS / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["ALLOW", '[{ to: [{ operation: { methods: ["P*"] } }] }]']],
    rows: `
      plain POST / -> allowed
      plain PUT / -> allowed
      plain GET / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["ALLOW", '[{ to: [{ operation: { hosts: [shop.example, "*.bank.example", "api.*"] } }] }]']],
    rows: `
      plain GET / host=shop.example -> allowed
      plain GET / host=SHOP.Example -> allowed
      plain GET / host=a.bank.example -> allowed
      plain GET / host=api.shop -> allowed
      plain GET / host=bank.example -> denied
      plain GET / host=shop.example.net -> denied
      plain GET / host=shop.example:8080 -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["DENY", "[{ to: [{ operation: { notHosts: [shop.example] } }] }]"]],
    rows: `
      plain GET / host=shop.example -> allowed
      plain GET / host=other.example -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["ALLOW", "[{ to: [{ operation: { paths: [/admin, /status] } }] }]"]],
    rows: `
      plain GET /admin -> allowed
      plain GET /status?verbose -> allowed
      plain GET /Admin -> denied
      plain GET /admin/ -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["DENY", '[{ to: [{ operation: { notPaths: [/open, "/free/*"] } }] }]']],
    rows: `
      plain GET /open -> allowed
      plain GET /free/a -> allowed
      plain GET /opened -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Operation",
    policies: [["DENY", "[{ to: [{ operation: { methods: [POST], paths: [/admin] } }] }]"]],
    rows: `
      plain POST /admin -> denied
      plain GET /admin -> allowed
      plain POST /other -> allowed`,
  },
  {
    heading: "Operation",
    policies: [["DENY", "[{ to: [{ operation: { methods: [POST] } }, { operation: { paths: [/admin] } }] }]"]],
    rows: `
      plain POST / -> denied
      plain GET /admin -> denied
      plain GET / -> allowed`,
  },
  {
    heading: "Operation",
    policies: [["ALLOW", "[{ to: [{ operation: { paths: [/a], notMethods: [DELETE] } }] }]"]],
    rows: `
      plain GET /a -> allowed
      plain DELETE /a -> denied
      plain GET /b -> denied`,
  },
];

const rules: readonly Group[] = [
  {
    heading: "Operation",
    policies: [["ALLOW", "[{ to: [{ operation: { ports: ['SECURE'] } }] }]"]],
    rows: `
      anonymous GET / -> allowed
      plain GET / -> denied`,
  },
  {
    heading: "Operation",
    policies: [
      [
        "DENY",
        "[{ to: [{ operation: { notPorts: ['SECURE'] } }], when: [{ key: destination.port, values: ['PLAIN'] }] }]",
      ],
    ],
    rows: `
      cart GET / -> allowed
      plain GET / -> denied`,
  },
  {
    heading: "Rule",
    policies: [["ALLOW", "[{ from: [{ source: { namespaces: [shop] } }], to: [{ operation: { methods: [GET] } }] }]"]],
    rows: `
      cart GET / -> allowed
      cart POST / -> denied
      till GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Rule",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { namespaces: [shop] } }, { source: { ipBlocks: [10.10.15.1] } }], when: [{ key: 'request.headers[x-a]', values: [b] }] }]",
      ],
    ],
    rows: `
      cart GET / x-a=b -> allowed
      carter GET / x-a=b -> allowed
      cart GET / -> denied
      carter GET / x-a=c -> denied
      plain GET / x-a=b -> denied`,
  },
  {
    heading: "Rule",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { principals: [cluster.local/ns/bank/sa/till] } }] }, { to: [{ operation: { paths: [/public] } }] }]",
      ],
    ],
    rows: `
      till GET / -> allowed
      plain GET /public -> allowed
      cart GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Implicit enablement",
    policies: [["DENY", "[{ to: [{ operation: { paths: [/shut] } }] }]"]],
    rows: `
      plain GET / -> allowed
      cart GET /other -> allowed
      plain GET /shut -> denied
      till GET /shut -> denied`,
  },
  {
    heading: "AuthorizationPolicy",
    policies: [
      ["DENY", "[{ to: [{ operation: { paths: [/admin] } }] }]"],
      ["ALLOW", "[{ from: [{ source: { namespaces: [shop] } }] }]"],
    ],
    rows: `
      cart GET / -> allowed
      cart GET /admin -> denied
      till GET / -> denied
      till GET /admin -> denied`,
  },
  {
    heading: "AuthorizationPolicy",
    policies: [
      ["ALLOW", "[{ to: [{ operation: { paths: [/a] } }] }]"],
      ["ALLOW", "[{ to: [{ operation: { paths: [/b] } }] }]"],
    ],
    rows: `
      plain GET /a -> allowed
      plain GET /b -> allowed
      plain GET /c -> denied`,
  },
  {
    heading: "AuthorizationPolicy",
    policies: [
      ["DENY", "[{ from: [{ source: { namespaces: [bank] } }] }]"],
      ["DENY", "[{ to: [{ operation: { methods: [DELETE] } }] }]"],
    ],
    rows: `
      cart GET / -> allowed
      till GET / -> denied
      cart DELETE / -> denied
      till DELETE / -> denied`,
  },
  {
    heading: "Exclusion matching",
    policies: [
      ["ALLOW", "[{ from: [{ source: { namespaces: [shop] } }], to: [{ operation: { notPaths: [/healthz] } }] }]"],
    ],
    rows: `
      cart GET / -> allowed
      cart GET /healthz -> denied
      till GET / -> denied`,
  },
  {
    heading: "Authenticated and unauthenticated identity",
    policies: [["DENY", "[{ from: [{ source: { principals: [cluster.local/ns/bank/sa/till] } }] }]"]],
    rows: `
      cart GET / -> allowed
      anonymous GET / -> allowed
      plain GET / -> allowed
      till GET / -> denied`,
  },
  {
    heading: "Trust Domain Migration",
    policies: [["ALLOW", "[{ from: [{ source: { principals: [old.example/ns/shop/sa/cart] } }] }]"]],
    rows: `
      former GET / -> allowed
      cart GET / -> allowed
      foreign GET / -> denied
      till GET / -> denied`,
  },
  {
    heading: "Trust Domain Migration",
    policies: [["DENY", "[{ from: [{ source: { principals: [cluster.local/ns/shop/sa/cart] } }] }]"]],
    rows: `
      former GET / -> denied
      cart GET / -> denied
      foreign GET / -> allowed`,
  },
  {
    heading: "Trust Domain Migration",
    policies: [["ALLOW", "[{ from: [{ source: { principals: [foreign.example/ns/shop/sa/cart] } }] }]"]],
    rows: `
      foreign GET / -> allowed
      cart GET / -> denied
      former GET / -> denied`,
  },
];

const conditions: readonly Group[] = [
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: 'request.headers[X-Team]', values: [a, 'b*', '*c'] }] }]"]],
    rows: `
      plain GET / x-team=a -> allowed
      plain GET / x-team=bee -> allowed
      plain GET / x-team=abc -> allowed
      plain GET / x-team=A -> denied
      plain GET / x-team=d -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["DENY", "[{ when: [{ key: 'request.headers[x-key]', notValues: ['*'] }] }]"]],
    rows: `
      plain GET / x-key=any -> allowed
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: 'request.headers[x-key]', values: ['*'], notValues: [bad] }] }]"]],
    rows: `
      plain GET / x-key=good -> allowed
      plain GET / x-key=bad -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [
      [
        "ALLOW",
        "[{ when: [{ key: 'request.headers[a]', values: ['1'] }, { key: 'request.headers[b]', values: ['2'] }] }]",
      ],
    ],
    rows: `
      plain GET / a=1 b=2 -> allowed
      plain GET / a=1 -> denied
      plain GET / b=2 -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: source.ip, values: [10.10.15.1] }] }]"]],
    rows: `
      carter GET / -> allowed
      plain GET / -> denied
      plain GET / x-forwarded-for=10.10.15.1 -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: remote.ip, values: [192.0.2.7] }] }]"]],
    rows: `
      plain GET / x-forwarded-for=192.0.2.7 -> allowed
      plain GET / x-forwarded-for=192.0.2.8 -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: source.namespace, values: [shop], notValues: [bank] }] }]"]],
    rows: `
      cart GET / -> allowed
      till GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["DENY", "[{ when: [{ key: source.principal, notValues: [cluster.local/ns/shop/sa/cart] }] }]"]],
    rows: `
      cart GET / -> allowed
      former GET / -> allowed
      till GET / -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: source.serviceAccount, values: [bank/till] }] }]"]],
    rows: `
      till GET / -> allowed
      cart GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: source.trustDomain, values: [foreign.example] }] }]"]],
    rows: `
      foreign GET / -> allowed
      cart GET / -> denied
      anonymous GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: destination.ip, values: [10.10.15.0/24] }] }]"]],
    rows: `
      plain GET / -> allowed
      cart GET / -> allowed`,
  },
  {
    heading: "Condition",
    policies: [["DENY", "[{ when: [{ key: destination.ip, notValues: [10.20.0.0/16] }] }]"]],
    rows: `
      plain GET / -> denied
      cart GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: destination.port, values: ['PLAIN'] }] }]"]],
    rows: `
      plain GET / -> allowed
      cart GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["DENY", "[{ when: [{ key: destination.port, notValues: ['PLAIN'] }] }]"]],
    rows: `
      plain GET / -> allowed
      cart GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: connection.sni, values: [server.shop] }] }]"]],
    rows: `
      cart GET / -> allowed
      anonymous GET / -> allowed
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["DENY", "[{ when: [{ key: connection.sni, notValues: ['*.shop'] }] }]"]],
    rows: `
      cart GET / -> allowed
      plain GET / -> denied`,
  },
];

/** What becomes of paths before policies see them: the mesh merges and decodes slashes. */
const normalised: readonly Group[] = [
  {
    heading: "Authorization Policy Normalization",
    policies: [["DENY", "[{ to: [{ operation: { paths: [/admin, /a/b] } }] }]"]],
    rows: `
      plain GET /admin -> denied
      plain GET //admin -> denied
      plain GET /x/../admin -> denied
      plain GET /./admin -> denied
      plain GET /%61dmin -> denied
      plain GET /a%2Fb -> denied
      plain GET /a%5Cb -> denied
      plain GET /a//b -> denied
      plain GET /administer -> allowed`,
  },
];

const bytes: readonly Group[] = [
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["ALLOW", "[{ from: [{ source: { principals: [cluster.local/ns/shop/sa/cart] } }] }]"]],
    rows: `
      cart -> allowed
      till -> closed
      anonymous -> closed
      plain -> closed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["DENY", "[{ from: [{ source: { ipBlocks: [10.10.15.1] } }] }]"]],
    rows: `
      plain -> allowed
      carter -> closed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["ALLOW", "[{ to: [{ operation: { methods: [GET] } }] }]"]],
    rows: `
      plain -> closed
      cart -> closed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["DENY", "[{ to: [{ operation: { methods: [GET] } }] }]"]],
    rows: `
      plain -> closed
      cart -> closed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [
      ["DENY", "[{ from: [{ source: { namespaces: [bank] } }], when: [{ key: 'request.headers[a]', values: [b] }] }]"],
    ],
    rows: `
      till -> closed
      cart -> allowed
      plain -> allowed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["ALLOW", "[{ from: [{ source: { requestPrincipals: ['*'] } }, { source: { namespaces: [shop] } }] }]"]],
    rows: `
      cart -> closed
      plain -> closed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["ALLOW", "[{ from: [{ source: { namespaces: [shop] } }] }, { to: [{ operation: { paths: [/a] } }] }]"]],
    rows: `
      cart -> allowed
      till -> closed`,
    tcp: true,
  },
  {
    heading: "Using Istio authorization on plain TCP protocols",
    policies: [["ALLOW", "[{ when: [{ key: connection.sni, values: [server.shop] }] }]"]],
    rows: `
      cart -> allowed
      plain -> closed`,
    tcp: true,
  },
];

/** Every group, each with a port of its own. */
export const groups: readonly Group[] = [
  ...sources,
  ...values,
  ...operations,
  ...rules,
  ...conditions,
  ...normalised,
  ...bytes,
];
