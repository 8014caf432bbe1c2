// Plugins: `#/plugins`, `#/plugins/flatten`.

import { html } from '../lib/html.js';
import { PluginList } from './plugins/list.js';
import { OnePlugin } from './plugins/one.js';

export default function Plugins({ parts: [name] }) {
  return name ? html`<${OnePlugin} name=${name} key=${name} />` : html`<${PluginList} />`;
}
