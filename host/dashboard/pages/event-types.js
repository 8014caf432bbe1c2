// Event types: `#/event-types`, `#/event-types/invoice.paid`, `.../edit`, and `#/event-types/new/create` for a new one.

import { html, useContext } from '../lib/html.js';
import { Session } from '../lib/session.js';
import { EditType } from './event-types/edit.js';
import { TypeList } from './event-types/list.js';
import { OneType } from './event-types/one.js';

export default function EventTypes({ parts: [name, verb] }) {
  const isAdmin = useContext(Session).role === 'admin';
  if (isAdmin && verb === 'create') return html`<${EditType} key="create" />`;
  if (isAdmin && verb === 'edit') return html`<${EditType} name=${name} key=${`edit ${name}`} />`;
  return name ? html`<${OneType} name=${name} key=${name} />` : html`<${TypeList} />`;
}
