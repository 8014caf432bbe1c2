/** What was posted, without its payload: that is the body of the first message. */
export interface Event {
  id: string;
  eventType: string;
  tenant: string;
  /** RFC 3339, in UTC. The clock of the plugin stands here. */
  timestamp: string;
  /** RFC 3339, in UTC: when this attempt began. */
  attemptedAt: string;
  /** 1 for the first attempt of a delivery. */
  attempt: number;
  channels: string[];
  attributes: [string, string][];
}

/** What would go out. */
export interface Message {
  /** None means POST. */
  method?: string | null;
  /** None means the endpoint's own. Begins with `/`. */
  pathAndQuery?: string | null;
  contentType: string;
  /** Those of the host (`webhook-*`, `authorization`, `host`, framing) are refused. */
  headers: [string, string][];
  body: Uint8Array;
}

export type Verdict =
  | { tag: 'pass' }
  | { tag: 'replace'; val: Message }
  | { tag: 'drop'; val: string }
  | { tag: 'reject'; val: string };

export type Judgement =
  | { tag: 'by-status' }
  | { tag: 'delivered' }
  | { tag: 'retry'; val?: number }
  | { tag: 'fail'; val: string }
  | { tag: 'disable'; val: string };

export interface ConfigError {
  /** RFC 6901 JSON Pointer into the configuration; empty for the whole. */
  pointer: string;
  message: string;
}

/** Documentation that can be run. Without `becomes`, `drops` and `rejects` the message passes. */
export interface Example<Config> {
  title: string;
  eventType: string;
  config?: Config;
  input: unknown;
  /** The JSON body, as `JSON.stringify` writes it. */
  becomes?: unknown;
  drops?: string;
  rejects?: string;
}

export interface Plugin<Config> {
  /** Of a-z, 0-9 and `-`; the same as the file's stem. */
  name: string;
  /** Semantic Versioning 2.0. */
  version: string;
  /** One sentence. */
  summary: string;
  /** JSON Schema, draft 2020-12, of the configuration. */
  configSchema?: object;
  /** True where passing a message through unchanged after a failure would be wrong, as for a filter. */
  mustRun?: boolean;
  /** All that is wrong with a configuration. Called when an endpoint is created or changed. */
  check?(config: Config): ConfigError[];
  /** The work. What it throws is the plugin's failure; a `Failure` with its own code. */
  transform(event: Event, message: Message, config: Config): Verdict;
  examples?: Example<Config>[];
}

/** The plugin could not do its work; the endpoint's `on_failure` decides what follows. */
export class Failure extends Error {
  /** `code`: a stable word, such as `bad-payload`. `message`: a sentence for whoever reads the attempt. */
  constructor(code: string, message: string);
  code: string;
}

/** Lines for the plugin log of the attempt. */
export const log: Record<'debug' | 'info' | 'warn' | 'error', (line: unknown) => void>;

/** `export const transformer = plugin({...})` makes a plugin of it. */
export function plugin<Config = any>(plugin: Plugin<Config>): object;

/**
 * `export const receiver = judging(...)`, for the world `destination`: says what an answer means. `status` is 0 where
 * none came, and the body then is a word that says why.
 */
export function judging<Config = any>(
  judge: (answer: { status: number; headers: [string, string][]; body: Uint8Array }, config: Config) => Judgement,
): object;

/** Leave the message as it is. */
export const pass: Verdict;
/** Not for this endpoint: the delivery ends as filtered, which is a success. */
export function drop(reason: string): Verdict;
/** It can never be delivered: the delivery ends as failed, without a retry. */
export function reject(reason: string): Verdict;
/** Send `value` as JSON; method, path and headers stay as `message` has them. */
export function json(message: Message, value: unknown): Verdict;
/** Send this; method, path and headers stay as `message` has them. */
export function body(message: Message, contentType: string, bytes: string | Uint8Array): Verdict;

/** The endpoint's success codes decide. */
export const byStatus: Judgement;
export const delivered: Judgement;
/** Try again, after so many seconds or on the endpoint's own schedule. */
export function retry(seconds?: number): Judgement;
/** Failed for good. */
export function fail(reason: string): Judgement;
/** As `fail`, and the endpoint is disabled. */
export function disable(reason: string): Judgement;

/**
 * The body as JSON. A `Failure` where it is none.
 *
 * Numbers become those of JavaScript: whole ones beyond 2^53 are rounded, and `12.50` is written as `12.5`.
 */
export function payload(message: Message): any;
/** The body as text. A `Failure` where it is not UTF-8. */
export function text(message: Message): string;
/** Text as UTF-8, and back. */
export function encode(text: string): Uint8Array;
export function decode(bytes: Uint8Array): string;
