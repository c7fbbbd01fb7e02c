import { describe, expect, it } from "vitest";
import { isHttp, isHttp2, listenerProtocol, parseProtocol, portProtocol } from "./protocol.ts";

describe("the protocol of a port", () => {
  it.each([
    ["http", undefined, 80, "HTTP"],
    ["http-admin", undefined, 9000, "HTTP"],
    ["HTTP2-api", undefined, 9000, "HTTP2"],
    ["grpc", undefined, 7070, "GRPC"],
    ["grpc-web", undefined, 7070, "GRPC-Web"],
    ["grpc-web-front", undefined, 7070, "GRPC-Web"],
    ["tcp-db", undefined, 5432, "TCP"],
    ["mongo", undefined, 27_017, "Mongo"],
    ["", undefined, 9999, "Auto"],
    ["web", undefined, 80, "Auto"],
    ["", undefined, 3306, "TCP"],
    ["web", undefined, 25, "TCP"],
    ["tcp", "http", 80, "HTTP"],
    ["tcp", "kubernetes.io/h2c", 80, "HTTP2"],
    ["http", "example.com/own", 80, "Auto"],
  ])("named %j with appProtocol %j on %i is %s", (name, appProtocol, number, expected) => {
    expect(portProtocol({ name, number, transport: "TCP", appProtocol })).toBe(expected);
  });

  it("is UDP where the transport is, whatever the name says", () => {
    expect(portProtocol({ name: "http", number: 53, transport: "UDP" })).toBe("UDP");
  });

  it("decides how a listener treats it", () => {
    expect(listenerProtocol("GRPC")).toBe("http");
    expect(listenerProtocol("HTTPS")).toBe("tcp");
    expect(listenerProtocol("Auto")).toBe("auto");
    expect(listenerProtocol("UDP")).toBe("none");
    expect(isHttp("GRPC-Web") && isHttp2("GRPC-Web")).toBe(true);
    expect(isHttp2("HTTP")).toBe(false);
    expect(parseProtocol("hTTp")).toBe("HTTP");
    expect(parseProtocol("carrier-pigeon")).toBeUndefined();
  });
});
