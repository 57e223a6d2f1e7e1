import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './components/App';
import { bindKeys } from './state/keys';
import { follow, load } from './state/load';
import { bindNotebook } from './state/notebook';
import { bindAddress } from './state/view';

bindAddress();
bindKeys();
bindNotebook();
render(<App />, document.getElementById('root')!);
await load();
follow();
