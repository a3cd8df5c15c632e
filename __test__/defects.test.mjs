/** What this package does where analytics-node has a defect; what that one does is tested in `peer/`. */
import { testDefects } from './defects/index.mjs';

testDefects('ours');
