/**
 * The suites that every kind of sink and source runs: the house's, and a user's own (`headrace/conformance`). A kind brings a
 * harness. The cases belong to no runner of tests: register each with the one at hand, such as `test(name, run)` of node:test.
 */
export type { ConformanceCase } from "./conformance_case.ts";
export { ODD_EVENTS, type OddEvent } from "./sinks/odd_events.ts";
export { type OpenTarget, plainEvent, type SinkHarness, type SinkUnderTest } from "./sinks/sink_harness.ts";
export { sinkCases } from "./sinks/sink_suite.ts";
export type { SourceHarness, SourcePlace, TestedSource } from "./sources/source_harness.ts";
export { sourceCases } from "./sources/source_suite.ts";
