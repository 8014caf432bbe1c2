// Endpoints: the list, one of them, and the form that makes or changes one.

import { html, useEffect, useState } from '../lib/html.js';
import { Problem, Spinner } from '../lib/ui.js';
import { List } from './endpoints/list.js';
import { Show } from './endpoints/show.js';

export default function Endpoints({ parts: [id, step], query }) {
  if (!id) return html`<${List} query=${query} />`;
  if (id === 'new') return html`<${Editing} from=${query.from} query=${query} />`;
  if (step === 'edit') return html`<${Editing} id=${id} query=${query} />`;
  return html`<${Show} id=${id} query=${query} />`;
}

let form = null;

/** The form brings the editor of chains along, which those who look at the list need not wait for. */
function Editing(props) {
  const [Edit, setEdit] = useState(() => form);
  const [error, setError] = useState(null);
  useEffect(() => {
    if (Edit) return;
    import('./endpoints/edit.js').then((module) => {
      form = module.Edit;
      setEdit(() => form);
    }).catch(() => setError(new Error('The form could not be loaded. Is the server still running?')));
  }, []);
  if (error) return html`<${Problem} error=${error} retry=${() => location.reload()} />`;
  return Edit ? html`<${Edit} ...${props} />` : html`<${Spinner} />`;
}
