/** What one run of these tests calls what it makes on the machine, by which all of it can be found. */
export const run = process.env["WEFT_KUBERNETES_RUN"] ?? `k${process.pid}`;

/** How the names of the run's temporary folders begin. */
export const folderPrefix = `weft-kubernetes-${run}-`;

/** How the names of the run's control groups begin. */
export const cgroupPrefix = `weft-${run}-`;
