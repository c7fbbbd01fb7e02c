import { tlsModeLabel } from "../pod-status.ts";

const group = "admissionregistration.k8s.io";
const name = "weft-agent";

/** The node that the caller's token is bound to, as Kubernetes tells it of tokens that kubelets get for Pods. */
const ownNode = 'request.userInfo.extra[?"authentication.kubernetes.io/node-name"][?0].orValue("")';

/** Whether each member of a map is in another one, but for one of the names. */
const within = (these: string, those: string, except = ""): string => {
  const excepted = except === "" ? "" : `key == "${except}" || `;
  return `${these}.all(key, ${excepted}(key in ${those} && ${these}[key] == ${those}[key]))`;
};
const same = (field: string, except?: string): string => {
  const [after, before] = ["object", "oldObject"].map((version) => `${version}.metadata.?${field}.orValue({})`);
  return `${within(after ?? "", before ?? "", except)} && ${within(before ?? "", after ?? "", except)}`;
};

const validations = [
  {
    expression: `object.spec.?nodeName.orValue("") == ${ownNode}`,
    message: "an agent writes Pods of its own node alone",
  },
  { expression: same("labels", tlsModeLabel), message: `of labels, an agent writes ${tlsModeLabel} alone` },
  { expression: same("annotations"), message: "an agent writes no annotations" },
];

/**
 * What roles cannot say: that an agent patches Pods of its own node alone, and of their labels the one that tells of its sidecar. So whoever
 * has got hold of one node cannot have policies choose Pods of others.
 */
export function agentAdmission(account: string, labels: Readonly<Record<string, string>>): readonly object[] {
  const apiVersion = `${group}/v1`;
  const metadata = { name, labels };
  const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["pods", "pods/status"] };
  const spec = {
    failurePolicy: "Fail",
    matchConstraints: { resourceRules: [rule] },
    matchConditions: [{ name: "agents", expression: `request.userInfo.username == "${account}"` }],
    validations,
  };
  const binding = { policyName: name, validationActions: ["Deny"] };
  return [
    { apiVersion, kind: "ValidatingAdmissionPolicy", metadata, spec },
    { apiVersion, kind: "ValidatingAdmissionPolicyBinding", metadata, spec: binding },
  ];
}
