// Who is signed in, for every page: `useContext(Session)` is `{role, tenant, expires_at, version, offline, embedded, refresh}`.

import { createContext } from './html.js';

export const Session = createContext(null);
