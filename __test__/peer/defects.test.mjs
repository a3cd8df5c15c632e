/** What analytics-node does wrong. */
import { testDefects } from '../defects/index.mjs';

testDefects('theirs');
