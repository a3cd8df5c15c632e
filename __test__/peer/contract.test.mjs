/** What the contract says of analytics-node. */
import { THEIRS } from '../contract/libraries.mjs';
import { testContract } from '../contract/tests.mjs';

testContract(THEIRS);
