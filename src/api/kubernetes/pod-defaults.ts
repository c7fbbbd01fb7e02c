import type { ResourceObject } from "../meta.ts";
import type { Container } from "./container.ts";
import type { Pod } from "./pod.ts";
import type { PodSpec, PodTemplateSpec } from "./pod-spec.ts";
import type { Volume } from "./volume.ts";

/** Whether an image's name says no version, or the newest. */
function isNewest(image: string): boolean {
  const name = image.slice(image.lastIndexOf("/") + 1);
  if (name.includes("@")) return false;
  return !name.includes(":") || name.endsWith(":latest");
}

function completeContainer<One extends Pick<Container, "image" | "imagePullPolicy">>(container: One): One {
  if (container.imagePullPolicy !== undefined) return container;
  return { ...container, imagePullPolicy: isNewest(container.image ?? "") ? "Always" : "IfNotPresent" };
}

/** A volume that says nothing of where its files come from is an empty folder. */
function completeVolume(volume: Volume): Volume {
  return Object.keys(volume).length === 1 ? { ...volume, emptyDir: {} } : volume;
}

/** Fills in what Kubernetes fills in of a Pod's specification beside constants. */
function completePodSpec(spec: PodSpec): PodSpec {
  const account = spec.serviceAccountName || spec.serviceAccount;
  return {
    ...spec,
    containers: spec.containers.map(completeContainer),
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(completeContainer) }),
    ...(spec.volumes === undefined ? {} : { volumes: spec.volumes.map(completeVolume) }),
    ...(account ? { serviceAccountName: account, serviceAccount: account } : {}),
  };
}

/** The same of the template of what keeps Pods running. */
export function completeTemplate(template: PodTemplateSpec): PodTemplateSpec {
  return { ...template, spec: completePodSpec(template.spec) };
}

/** What is set aside for a container is what it may use, unless it says otherwise. */
function completeRequests(container: Container): Container {
  const { limits, requests } = container.resources;
  if (limits === undefined) return container;
  return { ...container, resources: { ...container.resources, requests: { ...limits, ...requests } } };
}

/** The service account of Pods that name none. */
const defaultAccount = "default";

/** Fills in what Kubernetes fills in of a Pod: as of any specification, and what it gives Pods only. */
export function completePod(object: ResourceObject): ResourceObject {
  const spec = completePodSpec((object as Pod).spec);
  const account = spec.serviceAccountName ?? defaultAccount;
  const completed: PodSpec = {
    ...spec,
    serviceAccountName: account,
    serviceAccount: account,
    containers: spec.containers.map(completeRequests),
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(completeRequests) }),
  };
  return { ...object, spec: completed };
}
