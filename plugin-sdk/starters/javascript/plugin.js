import { drop, json, log, payload, plugin } from './hookwright.js';

/** Most characters of a mark. */
const MARK = 3;

export const transformer = plugin({
  name: 'shout',
  version: '0.1.0',
  summary: 'Says the title loudly.',

  // What a user writes under "config" in an endpoint's transform.
  configSchema: {
    type: 'object',
    properties: {
      mark: { type: 'string', maxLength: MARK, default: '', description: 'Put behind the text.' },
    },
    additionalProperties: false,
  },

  check({ mark = '', ...unknown }) {
    const errors = Object.keys(unknown).map((name) => ({ pointer: `/${name}`, message: 'There is no such member.' }));
    if (typeof mark !== 'string') {
      errors.push({ pointer: '/mark', message: 'The mark is a text.' });
    } else if ([...mark].length > MARK) {
      errors.push({ pointer: '/mark', message: `The mark has more than ${MARK} characters.` });
    }
    return errors;
  },

  transform(event, message, { mark = '' }) {
    const { title } = payload(message);
    if (title === undefined) return drop('The payload has no title.');
    log.info(`the title is ${title}`);
    return json(message, { text: `${title}`.toUpperCase() + mark });
  },

  examples: [
    {
      title: 'A title',
      eventType: 'case.created',
      config: { mark: '!' },
      input: { title: 'Missing tax ID' },
      becomes: { text: 'MISSING TAX ID!' },
    },
    { title: 'No title', eventType: 'case.created', input: {}, drops: 'The payload has no title.' },
  ],
});
