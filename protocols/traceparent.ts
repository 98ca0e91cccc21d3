/** The W3C Trace Context header `traceparent`, version 00: https://www.w3.org/TR/trace-context/#traceparent-header */

const PATTERN = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Whether `text` is a trace context. Any other text is dropped and counted; its batch is never refused for it. */
export const isTraceparent = (text: string): boolean => text.length === 55 && PATTERN.test(text);
