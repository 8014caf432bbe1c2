// How many events of each type there were lately.

import { useLoad, api } from '../../lib/api.js';

const WEEK_MS = 7 * 86_400_000;

/** `{of(type), partial}`; `of` answers `{events, delivered, failed}`, or null where nothing is known. */
export function useVolume(tenant) {
  const { data } = useLoad((signal) => api.get('/v1/overview', {
    tenant, resolution: 'day', since: new Date(Date.now() - WEEK_MS).toISOString(),
  }, { signal }), [tenant]);
  const none = data && !data.event_types_partial ? { events: 0, delivered: 0, failed: 0 } : null;
  return { of: (name) => data?.event_types.find((one) => one.type === name) ?? none, partial: data?.event_types_partial };
}
