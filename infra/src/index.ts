export { BundleError, findAddon, type LambdaArchitecture } from './addon.js';
export { addonPlugin, bundle, type BundleOptions } from './bundle.js';
export { CdkStack, type CdkStackProps } from './cdk-stack.js';
export { addChecks, checkedApp } from './checks.js';
export { CommercetoolsSegment } from './commercetools-segment.js';
export {
  COMMERCETOOLS_PRINCIPAL,
  type CommercetoolsSegmentProps,
  type Delivery,
  type SegmentFunctionProps,
  type SegmentQueueProps,
} from './props.js';
export { WriteKey } from './write-key.js';
