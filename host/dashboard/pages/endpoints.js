// Endpoints: the list, one of them, and the form that makes or changes one.

import { html } from '../lib/html.js';
import { Edit } from './endpoints/edit.js';
import { List } from './endpoints/list.js';
import { Show } from './endpoints/show.js';

export default function Endpoints({ parts: [id, step], query }) {
  if (!id) return html`<${List} query=${query} />`;
  if (id === 'new') return html`<${Edit} from=${query.from} query=${query} />`;
  if (step === 'edit') return html`<${Edit} id=${id} query=${query} />`;
  return html`<${Show} id=${id} query=${query} />`;
}
